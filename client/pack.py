"""What `cp` takes from this machine into a container, as a tar on a pipe that a thread writes."""

from __future__ import annotations

import os
import tarfile  # noqa: TID251 - one is only made here, none is read
import threading
from pathlib import Path


class Packer:
    """Reads `path` from now on; `fd` is where the archive comes out, `finish` says whether all went well.

    The top entry has the last part of the path as its name; `DIR/.` is what is in a folder. `follow`: what a link at `path`
    leads to. Sockets and devices are left out.
    """

    def __init__(self, path: str, *, follow: bool) -> None:
        self._path = path
        self._follow = follow or path.endswith("/")
        self._error: OSError | None = None
        Path(path).stat(follow_symlinks=self._follow)  # before anything is sent
        self.fd, self._inner = os.pipe()
        self._thread = threading.Thread(target=self._write, name="pack", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """After the last byte.

        Raises:
            OSError: what was read is not all.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _write(self) -> None:
        path = self._path.rstrip("/") or "/"
        last = path.rpartition("/")[2]
        name = "." if last in {"", "."} else Path(path).resolve().name if last == ".." else last
        source = Path(path).resolve() if self._follow else path
        try:
            with (
                os.fdopen(self._inner, "wb") as out,
                tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as archive,
            ):
                archive.add(source, arcname=name, filter=_without_devices)
        except BrokenPipeError:
            pass  # nobody reads any more, and says why
        except OSError as error:
            self._error = error


def _without_devices(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    info.uname = info.gname = ""
    return None if info.ischr() or info.isblk() else info
