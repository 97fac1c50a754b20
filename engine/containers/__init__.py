"""Containers: the state table (pure), their folders and records, starting, stopping, and finding the truth again.

Sits above rootfs, network, runtime, store and images; only `engine.api` sits above it. `hostcheck` judges the host.
"""
