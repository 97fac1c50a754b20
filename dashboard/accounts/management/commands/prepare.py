"""What `script/server` runs as the unprivileged user before anything else starts: the database, and fresh secrets.

Prints one line of JSON, which holds secrets: it goes to a pipe of `script/server`, never to a log.
"""

from __future__ import annotations

import json
from typing import Any

import redis
from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.db import Error as DatabaseError
from django.db import connection
from django.urls import reverse

from dashboard.accounts import tokens

ANSWER_S = 5.0


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _try_redis() -> None:
    """Our own is started later; one that is named must be there."""
    if settings.OWN_REDIS:
        return
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=ANSWER_S, socket_timeout=ANSWER_S).ping()
    except (redis.RedisError, OSError) as error:
        msg = f"the Redis of REDIS_URL does not answer: {_first_line(error)}."
        raise CommandError(msg) from error


class Command(BaseCommand):
    help = "Migrate the database and make fresh secrets."
    requires_system_checks = "__all__"

    def handle(self, *_args: Any, **_options: Any) -> None:  # Django's interface
        try:
            connection.ensure_connection()
            _try_redis()
            call_command("migrate", interactive=False, verbosity=0)
            secret = tokens.new_setup_secret()
        except DatabaseError as error:
            place = "of DATABASE_URL" if connection.vendor == "postgresql" else connection.settings_dict["NAME"]
            msg = f"the database {place} cannot be used: {_first_line(error)}."
            raise CommandError(msg) from error
        found = {
            "admin_token": tokens.new_host_secret(),
            "setup_path": reverse("setup", args=[secret]) if secret else "",
        }
        self.stdout.write(json.dumps(found))
