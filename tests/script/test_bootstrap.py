"""script/bootstrap: what it says it needs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_package_stands_in_the_lists_once():
    text = (ROOT / "script" / "bootstrap").read_text()
    names = [name for words in re.findall(r"\bneeded\+?=\(([^)]*)\)", text) for name in words.split()]
    assert len(names) > 20
    assert sorted(names) == sorted(set(names))


def test_what_it_tries_as_the_unprivileged_user_is_the_systems(tmp_path):
    text = (ROOT / "script" / "bootstrap").read_text()
    function = re.search(r"^as_user\(\) .*$", text, re.MULTILINE).group()
    for name in ("test", "env", "python3"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 3\n")
        (tmp_path / name).chmod(0o755)
    lines = f'user=x\nsetpriv() {{ shift 4; /usr/bin/env "$@"; }}\n{function}\nPATH={tmp_path}:$PATH\nas_user test -r /'
    assert subprocess.run(["bash", "-c", lines], check=False).returncode == 0
