"""A clone in a folder that only root may enter: the unprivileged user could not read it (settled: a copy in /opt/berth).

Everything happens in a mount namespace with an empty /opt and /usr/local/bin of its own, so that neither this machine's
`berth` nor a real installation is touched. What bootstrap would install again is put there, as after an earlier run.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.server import ROOT

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(240)]
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "node_modules", ".berth", "static-root", "__pycache__", ".*_cache", "dist"
)
PREPARE = """
mount --make-rprivate /
mount -t tmpfs -o mode=755 none /opt
mount -t tmpfs -o mode=755 none /usr/local/bin
mkdir -p /opt/berth/frontend /opt/berth/.berth
cp -a "$ROOT/.venv" "$ROOT/static-root" /opt/berth/
cp -a "$ROOT/frontend/dist" /opt/berth/frontend/
for stamp in python pages javascript; do cp "$ROOT/.berth/$stamp" /opt/berth/.berth/; done
"""
AS_BERTH = "setpriv --reuid=berth --regid=berth --init-groups env -i PATH=/usr/bin:/bin BERTH_TESTING=unit"


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    private = tmp_path_factory.mktemp("private")
    private.chmod(0o700)
    shutil.copytree(ROOT, private / "clone", ignore=NOT_COPIED, symlinks=True)
    return private / "clone"


def inside(script: str) -> str:
    words = ["unshare", "--mount", "bash", "-euc", PREPARE + script]
    done = subprocess.run(words, env={"ROOT": str(ROOT), "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_clone_that_only_root_may_enter_is_installed_as_a_copy(clone):
    unreadable = subprocess.run([*AS_BERTH.split(), "ls", str(clone)], capture_output=True, check=False)
    assert unreadable.returncode != 0
    said = inside(
        f"""
        copy=$({clone}/script/bootstrap --quiet)
        echo "copy=$copy"
        readlink /usr/local/bin/berth
        berth -v
        cd "$copy"
        {AS_BERTH} BERTH_DATA=/nonexistent "$copy/.venv/bin/python" -c 'import dashboard.settings as s; print(s.BASE_DIR)'
        touch "{clone}/README.md"
        {clone}/script/bootstrap --quiet
        """
    )
    first, link, version, base, again = said.splitlines()
    assert first == "copy=/opt/berth"
    assert link == "/opt/berth/script/berth"
    assert version.startswith("Berth version ")
    assert base == "/opt/berth"
    assert again == "/opt/berth"  # a clone that has changed is copied again
    assert (
        not Path("/opt/berth/.berth/source").exists() or str(clone) not in Path("/opt/berth/.berth/source").read_text()
    )
