"""What the processes tell each other about their state, in the run folder: it outlives no reboot, and needs no Redis."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

from django.conf import settings


def state_folder() -> Path:
    """Where workers say that they are ready (made by `script/server`, owned by the unprivileged user)."""
    return Path(settings.BERTH_RUN) / "state"


def say_ready(name: str) -> None:
    """A new file under a new name, then renamed: root writes here too, and the folder is somebody else's to put links in."""
    if not name or not state_folder().is_dir():
        return
    fresh = state_folder() / f".{name}.{secrets.token_hex(8)}"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(fd, "w") as file:
        file.write(f"{os.getpid()}\n")
    fresh.replace(state_folder() / f"{name}.ready")


def is_ready(name: str) -> bool:
    """Whether a worker has said so and is still there."""
    try:
        pid = int((state_folder() / f"{name}.ready").read_text())
    except (OSError, ValueError):
        return False
    return Path(f"/proc/{pid}").exists()


def engine_lock() -> Path:
    return Path(settings.BERTH_RUN) / "engine.lock"


def engine_is_alive() -> bool:
    """Whether some process holds the engine's lock; looks by taking it for a moment when none does."""
    try:
        with engine_lock().open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
