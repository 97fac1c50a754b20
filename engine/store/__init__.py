"""What is kept on disk: blobs by digest, unfinished downloads, layer files on their way in, and the space for them.

May import `engine.kernel`, `engine.config`, `engine.digest` and `engine.errors`.
"""
