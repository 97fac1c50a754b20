"""A folder that containers write in, as a tar: packed into a file of the unprivileged user's, unpacked from one.

`volumes` is the way in. `pack` and `unpack` know folders by descriptor only, `files` the place where archives lie on their
way. Reading is by the strict reader of `engine.layers`. Stands above `layers`, `store` and `volumes`, and may import
`engine.kernel`, `engine.config` and `engine.errors`.
"""
