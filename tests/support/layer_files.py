"""Layer files made in code, straight through tar2sqfs, and put where the engine keeps adopted ones."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

from engine.config import EngineConfig
from engine.digest import DiffId, Digest

CHARACTER_DEVICE, FOLDER = tarfile.CHRTYPE, tarfile.DIRTYPE


def member(name: str, kind: bytes, mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = kind, mode
    return info


def tar_of(entries: dict[str, bytes | None], modes: dict[str, int] | None = None, **members: tarfile.TarInfo) -> bytes:
    """A tar of files (bytes) and folders (None), all root's; `members` are added as they are."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            info.mode = (modes or {}).get(name, 0o755 if content is None else 0o644)
            info.size = len(content or b"")
            tar.addfile(info, io.BytesIO(content or b""))
        for info in members.values():
            tar.addfile(info)
    return out.getvalue()


def write_squashfs(tar: bytes, path: Path) -> None:
    subprocess.run(["tar2sqfs", "-q", "-j", "1", "-c", "lz4", "-f", str(path)], input=tar, check=True)


def store_layer(
    config: EngineConfig,
    entries: dict[str, bytes | None],
    modes: dict[str, int] | None = None,
    **members: tarfile.TarInfo,
) -> DiffId:
    tar = tar_of(entries, modes, **members)
    diff_id = DiffId(Digest(f"sha256:{hashlib.sha256(tar).hexdigest()}"))
    path = config.layer_file(diff_id.hex)
    if not path.exists():
        write_squashfs(tar, path)
        path.chmod(0o440)
    return diff_id
