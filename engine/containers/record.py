"""What the engine must still know about a container after its own restart (`state.json`).

Small, replaced atomically. It is only synced where an exit code would be lost: after a power cut the boot id differs,
and then all else in it is worth nothing anyway.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from engine.kernel.files import write_atomic
from engine.kernel.pidfd import ProcessIdentity

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Exit:
    """How a run ended. `code` None: nobody knows (never 0 by guess); `reason` is then a sentence."""

    code: int | None
    oom_killed: bool
    finished_at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """`stage`: the last step of the last start that was begun. `boot_id`: of the boot in which that was.

    `monitor` is conmon, `init` the container's first process; `exit` is of the last run, None while it may live.
    """

    stage: str = ""
    boot_id: str = ""
    monitor: ProcessIdentity | None = None
    init: ProcessIdentity | None = None
    started_at: datetime | None = None
    exit: Exit | None = None

    def at(self, stage: str) -> Self:
        return replace(self, stage=stage)

    def to_json(self) -> bytes:
        exit_ = None
        if self.exit is not None:
            exit_ = {
                "code": self.exit.code,
                "oom_killed": self.exit.oom_killed,
                "finished_at": self.exit.finished_at.isoformat(),
                "reason": self.exit.reason,
            }
        document = {
            "stage": self.stage,
            "boot_id": self.boot_id,
            "monitor": self.monitor and self.monitor.to_text(),
            "init": self.init and self.init.to_text(),
            "started_at": self.started_at and self.started_at.isoformat(),
            "exit": exit_,
        }
        return json.dumps(document).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        document: dict[str, Any] = json.loads(content)  # Any: JSON, each field is parsed below
        exit_ = document.get("exit")
        return cls(
            stage=str(document.get("stage", "")),
            boot_id=str(document.get("boot_id", "")),
            monitor=_identity(document.get("monitor")),
            init=_identity(document.get("init")),
            started_at=_time(document.get("started_at")),
            exit=None
            if exit_ is None
            else Exit(
                None if exit_["code"] is None else int(exit_["code"]),
                bool(exit_["oom_killed"]),
                datetime.fromisoformat(exit_["finished_at"]),
                str(exit_["reason"]),
            ),
        )


def _identity(text: object) -> ProcessIdentity | None:
    return None if text is None else ProcessIdentity.from_text(str(text))


def _time(text: object) -> datetime | None:
    return None if text is None else datetime.fromisoformat(str(text))


def read_record(path: Path) -> Record | None:
    """None when there is none, or a power cut left it broken."""
    try:
        return Record.from_json(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_record(path: Path, record: Record, *, durable: bool = False) -> None:
    if durable:
        write_atomic(path, record.to_json(), mode=0o600)
        return
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    partial.touch(0o600)
    partial.write_bytes(record.to_json())
    partial.replace(path)


def now() -> datetime:
    return datetime.now(UTC)
