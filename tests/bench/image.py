"""The image of the benchmark: four layers, about 1.5 GB and 100,000 files, from this machine's own files, in a registry."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import subprocess
import tarfile
import urllib.request
from pathlib import Path

MIB = 1024 * 1024
WANTED_BYTES = (700 * MIB, 500 * MIB, 250 * MIB, 60 * MIB)
WANTED_FILES = 100_000
SOURCES = ("/usr/lib", "/usr/share", "/usr/bin", "/usr/include", "/opt", "/root/.pyenv")
SMALL_BYTES = 20_000
LARGE_BYTES = 8 * MIB
SHELL = Path("/bin/busybox")


def _walk() -> list[tuple[str, int]]:
    """Regular files of this machine with their sizes, in a stable order that mixes small and large."""
    found: list[tuple[str, int]] = []
    for source in SOURCES:
        for folder, folders, names in os.walk(source):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    found.append((path, os.path.getsize(path)))
    found.sort(key=lambda item: hashlib.sha256(item[0].encode()).digest())
    return found


def choose_files(part: float = 1.0) -> list[list[str]]:
    """The paths of each layer: its share of small files (under 20 kB), filled up to its bytes with large ones.

    `part` below 1 makes all of it smaller.
    """
    walked = _walk()
    small = iter([item for item in walked if item[1] < SMALL_BYTES])
    large = iter([item for item in walked if SMALL_BYTES <= item[1] < LARGE_BYTES])
    layers: list[list[str]] = []
    for whole in WANTED_BYTES:
        wanted = int(whole * part)
        share = list(itertools.islice(small, int(WANTED_FILES * part * 0.9 * whole / sum(WANTED_BYTES))))
        left = wanted - sum(length for _, length in share)
        for item in large:
            share.append(item)
            left -= item[1]
            if left <= 0:
                break
        layers.append([path for path, _ in share])
    return layers


def _with_folders(paths: list[str]) -> list[str]:
    """As layers of real images have them: each folder has an entry of its own, before what is in it."""
    folders = {str(parent) for path in paths for parent in Path(path).parents} - {"/"}
    return sorted([*folders, *paths])


def _layer_tar(paths: list[str], target: Path) -> None:
    listing = "\0".join(path.lstrip("/") for path in _with_folders(paths)).encode()
    argv = ["tar", "--create", f"--file={target}", "--directory=/", "--no-recursion", "--owner=0", "--group=0"]
    subprocess.run([*argv, "--null", "--files-from=-"], input=listing, check=True)


def _shell_tar(target: Path) -> None:
    """A shell that prompts: the last layer, so that the same image serves `run` to the first prompt byte."""
    with tarfile.open(target, "w") as tar:
        for name in ("bin", "etc", "tmp"):  # none of SOURCES: Docker refuses a name that comes twice
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        data = SHELL.read_bytes()
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = len(data), 0o755
        tar.addfile(entry, io.BytesIO(data))
        for applet in ("sh", "ls", "cat", "true", "sleep"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        passwd = b"root:x:0:0:root:/:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(passwd)
        tar.addfile(entry, io.BytesIO(passwd))


class Pusher:
    """Puts blobs and manifests into a registry without authentication."""

    def __init__(self, registry: str) -> None:
        self.base = f"http://{registry}/v2"

    def blob(self, name: str, path: Path) -> dict:
        with path.open("rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        request = urllib.request.Request(f"{self.base}/{name}/blobs/uploads/", method="POST", data=b"")
        with urllib.request.urlopen(request) as reply:
            location = reply.headers["Location"]
        url = location + ("&" if "?" in location else "?") + f"digest={digest}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with path.open("rb") as file:
            urllib.request.urlopen(urllib.request.Request(url, method="PUT", data=file, headers=headers)).close()
        return {"digest": digest, "size": size}

    def manifest(self, name: str, tag: str, manifest: dict) -> None:
        request = urllib.request.Request(
            f"{self.base}/{name}/manifests/{tag}",
            method="PUT",
            data=json.dumps(manifest).encode(),
            headers={"Content-Type": manifest["mediaType"]},
        )
        urllib.request.urlopen(request).close()


def push_big_image(
    registry: str, folder: Path, *, name: str = "bench/big", tag: str = "1", share: float = 1.0
) -> dict[str, int]:
    """Build and push it; returns its figures. Takes about two minutes."""
    layers = choose_files(share)
    pusher = Pusher(registry)
    diff_ids, descriptors = [], []
    for number, paths in enumerate(layers):
        tar, packed = folder / f"{number}.tar", folder / f"{number}.tar.gz"
        _layer_tar(paths, tar)
        if number == len(WANTED_BYTES) - 1:
            shell = folder / "shell.tar"
            _shell_tar(shell)
            subprocess.run(["tar", "--concatenate", f"--file={tar}", str(shell)], check=True)
        with tar.open("rb") as file:
            diff_ids.append("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
        with packed.open("wb") as out:
            subprocess.run(["pigz", "-6", "-c", str(tar)], stdout=out, check=True)
        tar.unlink()
        layer = pusher.blob(name, packed)
        descriptors.append({"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", **layer})
        packed.unlink()
    config = folder / "config.json"
    config.write_text(
        json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin", "PS1=prompt# "]},
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
            }
        )
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", **pusher.blob(name, config)},
        "layers": descriptors,
    }
    pusher.manifest(name, tag, manifest)
    return {
        "files": sum(len(x) for x in layers),
        "bytes": sum(os.path.getsize(path) for paths in layers for path in paths),
        "gzip_bytes": sum(d["size"] for d in descriptors),
    }
