"""Images, tags and layers, and the jobs that pull and remove them."""
