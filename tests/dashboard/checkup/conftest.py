from tests.dashboard.catalog.fixtures import data, engine, present, pulled, queue, registry, user

__all__ = ["data", "engine", "present", "pulled", "queue", "registry", "user"]
