"""Streams of a container's log and input over WebSocket."""
