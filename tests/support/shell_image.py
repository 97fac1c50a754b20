"""A small real Linux in two layers, from this machine's own files: busybox (static) and bash with its libraries.

It only carries the names of real images: `push_shell_images` puts it under library/ubuntu:14.04 and library/centos:7.
Needs the Debian package busybox-static.
"""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

from tests.support.images import Entry, TestImage, folder, image, layer, program, push, symlink

BUSYBOX = Path("/bin/busybox")
BASH = Path("/bin/bash")
TERMINFO = ("x/xterm", "x/xterm-256color", "l/linux", "v/vt100")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FOLDERS = "bin boot dev etc home lib lib64 media mnt opt proc root run sbin srv sys usr usr/bin usr/sbin usr/lib usr/share var var/log"

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
tester:x:1000:1000:A Tester:/home/tester:/bin/bash
"""
GROUP = "root:x:0:\ndaemon:x:1:\nstaff:x:50:tester\nwww-data:x:33:\nnogroup:x:65534:\ntester:x:1000:\n"
BASHRC = """\
# Debian's /etc/bash.bashrc, shortened: bash reads it for every interactive shell
[ -z "$PS1" ] && return
shopt -s checkwinsize
PS1='\\u@\\h:\\w\\$ '
"""


def _libraries(binary: Path) -> list[Path]:
    """Shared libraries of a program, the loader among them, as `ldd` names them."""
    listing = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    return [Path(found) for found in re.findall(r"(/\S+) \(0x", listing)]


def _base_layer() -> list[Entry]:
    """The tree, busybox and its applets, accounts. As ubuntu's first layer: everything that a shell needs but bash."""
    applets = subprocess.run([str(BUSYBOX), "--list"], capture_output=True, text=True, check=True).stdout.split()
    entries = [folder(f"{name}/") for name in FOLDERS.split()]
    entries += [folder("tmp/", 0o1777), folder("var/tmp/", 0o1777), folder("home/tester/", uid=1000, gid=1000)]
    entries += [program("bin/busybox", BUSYBOX.read_bytes())]
    entries += [symlink(f"bin/{name}", "busybox") for name in applets if name not in {"busybox", "bash"}]
    files = {
        "passwd": PASSWD,
        "group": GROUP,
        "hostname": "image\n",
        "hosts": "127.0.0.1 localhost\n",
        "shells": "/bin/bash\n",
    }
    entries += [Entry(f"etc/{name}", data=text.encode()) for name, text in files.items()]
    return [*entries, Entry("etc/shadow", data=b"root:*:16176:0:99999:7:::\n", mode=0o640, gid=42)]


def with_libraries(name: str, binary: Path) -> list[Entry]:
    """A program of this machine, under that name in the image, and its shared libraries where it looks for them."""
    entries = [program(name, binary.read_bytes())]
    seen: set[str] = set()
    for library in _libraries(binary):
        parents = [str(parent).lstrip("/") for parent in reversed(library.parents[:-1])]
        entries += [folder(f"{name}/") for name in parents if name not in seen]
        seen.update(parents)
        entries.append(program(str(library).lstrip("/"), library.read_bytes()))
    return entries


def _bash_layer(release: str) -> list[Entry]:
    """bash, its libraries and terminal descriptions, and a file of the lower layer replaced."""
    entries = with_libraries("bin/bash", BASH)
    entries += [folder("lib/terminfo/"), *(folder(f"lib/terminfo/{part}/") for part in ("l", "v", "x"))]
    entries += [
        Entry(f"lib/terminfo/{name}", data=Path("/lib/terminfo", name).read_bytes())
        for name in TERMINFO
        if Path("/lib/terminfo", name).is_file()
    ]
    entries += [Entry("etc/bash.bashrc", data=BASHRC.encode()), Entry("etc/os-release", data=release.encode())]
    return [*entries, Entry("etc/hostname", data=b"\n"), Entry("root/.profile", data=BASHRC.encode())]


@functools.cache
def shell_image(
    name: str = "Ubuntu 14.04 (a test image)", *, docker: bool = True, architecture: str = "amd64"
) -> TestImage:
    """The image: `/bin/bash` by default, prompt `root@<hostname>:/# `, /bin/sh and every busybox applet."""
    release = f'PRETTY_NAME="{name}"\n'
    layers = [layer(_base_layer(), docker=docker), layer(_bash_layer(release), docker=docker)]
    return image(
        layers, docker=docker, architecture=architecture, Cmd=["/bin/bash"], Env=[PATH], Labels={"org.berth.test": name}
    )


def push_shell_images(url: str, auth: tuple[str, str] | None = None) -> dict[str, TestImage]:
    """Push library/ubuntu:14.04 (Docker's types) and library/centos:7 (OCI's types). Returns them by that name."""
    images = {
        "library/ubuntu:14.04": shell_image(),
        "library/centos:7": shell_image("CentOS Linux 7 (a test image)", docker=False),
    }
    for name, content in images.items():
        push(url, name, content, auth)
    return images
