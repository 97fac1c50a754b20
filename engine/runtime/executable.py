"""Looking at the command's file before it is run, for what runc only notices when it is too late to say so.

runc finds a missing or unreadable command while creating. A file that the kernel cannot execute (another machine's,
or a script without `#!`) is noticed after `start`, when nobody listens any more (tried with runc 1.1.5: the container
just ends with 1). So its first bytes are read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import CommandNotExecutable
from engine.runtime.command import search_path
from engine.runtime.rootfiles import read_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEAD_BYTES = 20
_ELF = b"\x7fELF"
# e_machine values that a kernel of this machine runs (elf.h): its own and its 32-bit one.
_MACHINES = {"x86_64": frozenset({62, 3}), "aarch64": frozenset({183, 40})}


def refuse_unfit_executable(root: int, name: str, env: Iterable[str], working_dir: str, machine: str) -> None:
    """Raise for a command that exists and can be read, but that this kernel does not know how to execute.

    Says nothing about one that it cannot find or that nobody may execute: that is runc's to say. Silent where binfmt_misc may know more formats.

    Raises:
        CommandNotExecutable: in the kernel's words.
    """
    for path in _candidates(name, env, working_dir):
        head = read_head(root, path, _HEAD_BYTES, is_program=True)
        if head is None:
            continue
        if not _is_known(head, machine) and not _has_foreign_formats():
            msg = f'exec: "{name}": exec format error'
            raise CommandNotExecutable(msg)
        return


def _candidates(name: str, env: Iterable[str], working_dir: str) -> Iterator[str]:
    if name.startswith("/"):
        yield name
    elif "/" in name:
        yield f"{working_dir.rstrip('/')}/{name}"
    else:
        yield from (f"{folder.rstrip('/')}/{name}" for folder in search_path(env).split(":") if folder.startswith("/"))


def _is_known(head: bytes, machine: str) -> bool:
    if head.startswith(b"#!"):
        return True
    if not head.startswith(_ELF) or len(head) < _HEAD_BYTES:
        return False
    return int.from_bytes(head[18:20], "big" if head[5] == 2 else "little") in _MACHINES.get(machine, frozenset())


def _has_foreign_formats() -> bool:
    """Whether binfmt_misc knows formats of its own (QEMU and the like)."""
    folder = Path("/proc/sys/fs/binfmt_misc")
    return folder.is_dir() and any(entry.name not in ("register", "status") for entry in folder.iterdir())
