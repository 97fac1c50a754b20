"""`/healthz`: whether everything answers. Public; says nothing else."""

from __future__ import annotations

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.core.workers import engine_is_alive, is_ready

WORKERS = ("images", "layers", "engine")


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone())
    except DatabaseError:
        return False


def _redis() -> bool:
    try:
        cache.get("healthz")
    except (redis.RedisError, OSError):
        return False
    return True


@never_cache
@login_not_required
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when all parts answer, else 503 with the parts that do not as false."""
    parts = {"web": True, "database": _database(), "redis": _redis()}
    parts |= {name: is_ready(name) for name in WORKERS}
    parts["engine"] = parts["engine"] and engine_is_alive()
    response = JsonResponse({"version": settings.VERSION, **parts}, status=200 if all(parts.values()) else 503)
    response._has_been_logged = True  # type: ignore[attr-defined]  # Django's: whoever waits asks ten times a second
    return response
