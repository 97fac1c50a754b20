"""`manage.py rotate_credentials_key`, as root: a fresh key, everything encrypted with it, the old ones forgotten."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.core.management.base import BaseCommand

from dashboard.registries import services, vault


class Command(BaseCommand):
    help = "Make a new key for stored registry credentials and encrypt all of them with it."

    def handle(self, *_args: Any, **_options: Any) -> None:  # Django's signature
        """After a crash at any line every credential can still be read: old keys go last."""
        path = vault.key_file()
        old = path.read_text().split() if path.is_file() else []
        fresh = Fernet.generate_key().decode()
        _write(path, [fresh, *old])
        count = services.rotate()
        _write(path, [fresh])
        self.stdout.write(f"A new key is in use; {count} credentials are encrypted with it.")


def _write(path: Path, keys: list[str]) -> None:
    before = path.stat() if path.is_file() else path.parent.stat()
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
    with os.fdopen(fd, "w") as file:
        os.fchown(fd, before.st_uid, before.st_gid)
        file.write("\n".join(keys) + "\n")
        file.flush()
        os.fsync(fd)
    fresh.replace(path)
