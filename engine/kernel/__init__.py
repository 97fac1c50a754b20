"""The only door to the system: processes, mounts, namespaces, descriptors, terminals, cgroups.

Nothing here knows what a container or an image is. May import `engine.errors` and `engine.config`, and is the only
package that may import subprocess, ctypes, termios and the like (`.importlinter`).
"""
