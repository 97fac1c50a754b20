"""One registry with the images of the primer, and one whole Berth, for all end-to-end tests of a module."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.registry import Registry
from tests.support.server import ROOT, BerthServer
from tests.support.shell_image import push_shell_images

BERTH = ROOT / "script" / "berth"


class Berth(BerthServer):
    """With the command line at hand."""

    def run_checked(self, *words: str, **how) -> subprocess.CompletedProcess[str]:
        done = self.run_command(*words, **how)
        assert done.returncode == 0, (
            f"berth {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}{self.logs()}"
        )
        return done


@pytest.fixture(scope="module")
def registry():
    with Registry() as running:
        push_shell_images(running.url)
        yield running


@pytest.fixture(scope="module")
def berth(registry):
    with Berth(mirrors={"docker.io": registry.url}) as server:
        yield server
