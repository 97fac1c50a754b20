"""Events pushed to open pages."""
