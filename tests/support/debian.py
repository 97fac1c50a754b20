"""A real Debian root file system, made once by mmdebstrap and kept in /var/cache: what people actually run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("BERTH_TEST_CACHE", "/var/cache/berth-tests"))
PACKAGES = "vim-tiny,procps,less,iputils-ping,libcap2-bin"


def debian_tar() -> Path:
    """Path of an uncompressed tar of Debian bookworm (minbase and a few tools), about 200 MB. Made on first use: about a minute."""
    tar = CACHE / "debian-bookworm-1.tar"
    if not tar.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = CACHE / f"partial-{os.getpid()}.tar"
        argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(partial)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        partial.rename(tar)
    return tar
