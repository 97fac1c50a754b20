from tests.dashboard.catalog.fixtures import data, engine, pulled, queue, registry, user

__all__ = ["data", "engine", "pulled", "queue", "registry", "user"]
