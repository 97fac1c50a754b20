"""The documents of images: descriptor, manifest, index, platform, image config. Pure: bytes in, frozen values out.

Everything here reads what a stranger wrote. May import `engine.digest` and `engine.errors` only.
"""
