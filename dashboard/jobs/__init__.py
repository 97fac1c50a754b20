"""Job rows: the work that runs in Celery workers, claimed, fenced, reported."""
