"""The container engine: images, layers, root file systems, containers, terminals. No Django.

Callers use `engine.api` and `engine.errors`. Imports point down the list in `.importlinter`: the packages
`registry store layers rootfs runtime network terminal stats` do not know each other; `engine.kernel` is the
only door to processes, mounts, namespaces and ttys; `engine.registry` the only one to HTTP.
Synchronous and typed. Every expected failure is an `EngineError`.
"""
