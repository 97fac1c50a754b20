"""Terminals and logs of containers: the log is the buffer, input and size go to conmon.

Everything that a viewer sees is read from the container's log; nothing of ours ever reads conmon's attach socket, so no
viewer can stall a container. May import `engine.kernel`, `engine.config`, `engine.errors`. All of it but `rotation`
works without root, with the group's rights on the `io/` folder.
"""
