"""Images as a whole: what a name means at its registry, and a layer from there to a file.

May import `engine.registry`, `engine.store`, `engine.layers` and what lies below them. Which layers are missing, who
fetches which, and when an image is complete is decided above, in the database.
"""
