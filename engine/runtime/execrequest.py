"""What somebody asked for: one further command in a running container."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.errors import RequestRefused
from engine.runtime.texts import refuse_unfit_size, refuse_unfit_texts

_ID = re.compile(r"[0-9a-f]{64}\Z")


def is_exec_id(text: str) -> bool:
    return _ID.match(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRequest:
    """`command` () means: the shell of the user in this image. Empty `user` and `working_dir`: the container's own.

    `env` as in `ContainerRequest`; it comes after the container's.

    Raises:
        RequestRefused: a field that no later step could make sense of.
    """

    exec_id: str
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    tty: bool = False
    open_stdin: bool = False
    rows: int = 24
    columns: int = 80

    def __post_init__(self) -> None:
        if not is_exec_id(self.exec_id):
            msg = f"'{self.exec_id[:80]}' is not the id of a command."
            raise RequestRefused(msg)
        if self.command and not self.command[0]:
            msg = "No command specified."
            raise RequestRefused(msg, subject=self.exec_id)
        refuse_unfit_texts(self.command, self.env, self.working_dir + self.user, subject=self.exec_id)
        refuse_unfit_size(self.rows, self.columns, subject=self.exec_id)
