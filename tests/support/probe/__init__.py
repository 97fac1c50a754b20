"""Looking at containers from inside: an engine with an image whose programs ask the kernel what it allows."""
