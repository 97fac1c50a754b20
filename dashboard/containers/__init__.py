"""Containers: rows, services, jobs, pages."""
