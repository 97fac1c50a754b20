"""A real Debian root file system, made once by mmdebstrap and kept in /var/cache: what people actually run.

/repo in it is a package source for apt, to be served by a web server: `mtr-tiny`, whose program gets a file capability when it
is installed, and what it needs.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("BERTH_TEST_CACHE", "/var/cache/berth-tests"))
PACKAGES = "vim-tiny,procps,less,iputils-ping,libcap2-bin"
TO_INSTALL = "mtr-tiny"
DOWNLOAD = f'rm -f "$1"/var/cache/apt/archives/*.deb; APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -q --yes --no-install-recommends --download-only install {TO_INSTALL}'
LIST = r"""set -eu
mkdir "$1/repo"
mv "$1"/var/cache/apt/archives/*.deb "$1/repo/"
cd "$1/repo"
for package in *.deb; do
    dpkg-deb -f "$package"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$package" "$(stat -c %s "$package")" "$(sha256sum <"$package" | cut -d' ' -f1)"
done >Packages
"""


def debian_tar() -> Path:
    """Path of an uncompressed tar of Debian bookworm (minbase and a few tools), about 200 MB. Made on first use: about a minute."""
    tar = CACHE / "debian-bookworm-2.tar"
    if not tar.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = CACHE / f"partial-{os.getpid()}.tar"
        argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}"]
        argv += [f"--customize-hook={DOWNLOAD}", f"--customize-hook={LIST}"]
        subprocess.run([*argv, "bookworm", str(partial)], check=True, stdin=subprocess.DEVNULL)
        partial.rename(tar)
    return tar
