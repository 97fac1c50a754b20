"""Networks: rows, services, jobs, pages. Knows nothing of containers but that rows of theirs refer to it."""
