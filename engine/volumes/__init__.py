"""Volumes: folders of this host that outlive containers, and what else is mounted inside a container's root.

`places` names them, `copy` fills a new one from an image, `fill` does that once, `mounting` is the one place where such
a mount is made, `hostpaths` opens what an administrator has allowed, `folders` measures and removes. May import
`engine.kernel`, `engine.config`, `engine.ids`, `engine.errors`; knows neither containers nor images.
"""
