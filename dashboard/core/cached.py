"""What goes into the cache and comes out of it: JSON, so that a value is never code.

Django's own way of writing values is pickle: whoever could write to Redis would run code in whoever reads the cache,
and the engine worker, which is root, shares this setting (settled.md 7, CEL-01).
"""

from __future__ import annotations

import json


class JsonValues:
    """Django's `serializer` of a Redis cache. Whole numbers stay bare, because Redis counts with them."""

    def dumps(self, value: object) -> int | bytes:
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, data: bytes) -> object:
        """What cannot be read counts as not cached."""
        try:
            found: object = json.loads(data)
        except ValueError:
            return None
        return found
