"""A host that lacks something: said at the start, and again by whoever needs it. Pages and pulls work."""

from __future__ import annotations

import pytest

from tests.support.registry import Registry
from tests.support.server import BerthServer
from tests.support.shell_image import push_shell_images

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]


def test_a_host_without_a_runtime_is_told_at_the_start_and_still_pulls():
    with Registry() as registry:
        push_shell_images(registry.url)
        settings = {"BERTH_RUNC": "/nonexistent/runc"}
        with BerthServer(mirrors={"docker.io": registry.url}, settings=settings) as berth:
            said = [line for line in berth.output if line.startswith("Berth cannot run containers on this host: ")]
            assert len(said) == 1, berth.output
            assert "runc was not found" in said[0]
            assert "/nonexistent/runc" in said[0]
            assert berth.run_command("pull", "centos:7").returncode == 0
            refused = berth.run_command("run", "--rm", "centos:7", "true")
            assert refused.returncode == 125
            assert "runc" in refused.stderr
            assert "Traceback" not in refused.stderr
            assert berth.run_command("ps", "-a", "-q").stdout == ""
