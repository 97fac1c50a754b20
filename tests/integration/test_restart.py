"""Berth ends and comes back; containers belong to none of its processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.registry import Registry
from tests.support.server import STOP_TIMEOUT_S, BerthServer
from tests.support.shell_image import push_shell_images
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300)]
ASKED = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"
COUNT = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.2; done"


def _counted(berth: BerthServer) -> int:
    """What "on" has counted to, by the log that its monitor writes."""
    (log,) = (path for path in (berth.data / "containers").glob("*/io/ctr.log") if b" F 0\n" in path.read_bytes())
    return int(log.read_bytes().rpartition(b"\n")[0].rpartition(b" ")[2])


def _facts(berth: BerthServer, name: str) -> str:
    return berth.run_command("inspect", "--format", "{{.State.Status}} {{.State.Pid}} {{.State.ExitCode}}", name).stdout


@pytest.mark.fault("F20")
def test_containers_outlive_ctrl_c_and_sigterm_and_the_next_start_has_the_truth():
    with Registry() as registry:
        push_shell_images(registry.url)
        with BerthServer(mirrors={"docker.io": registry.url}) as berth:
            assert berth.run_command("run", "-d", "--name", "on", "ubuntu:14.04", "sh", "-c", COUNT).returncode == 0
            assert berth.run_command("run", "-d", "--name", "stays", "ubuntu:14.04", "sleep", "600").returncode == 0
            assert berth.run_command("run", "-d", "--name", "brief", "ubuntu:14.04", "sh", "-c", ASKED).returncode == 0
            until("brief can be asked", lambda: berth.run_command("logs", "brief").stdout)
            before, brief = _facts(berth, "on"), int(_facts(berth, "brief").split()[1])
            pid = int(before.split()[1])
            lines = int(until("a first line", lambda: berth.run_command("logs", "--tail", "1", "on").stdout))
            assert berth.stop() == 0  # Ctrl-C
            assert Path(f"/proc/{pid}").exists()
            os.kill(brief, signal.SIGTERM)
            until("the end of brief", lambda: not Path(f"/proc/{brief}").exists())
            until("ten lines more", lambda: _counted(berth) > lines + 10)
            berth.start()
            assert _facts(berth, "on") == before
            assert int(berth.run_command("logs", "--tail", "1", "on").stdout) > lines + 10
            until(
                lambda: f"the end of brief is told: {_facts(berth, 'brief')}",
                lambda: _facts(berth, "brief") == "exited 0 9\n",
                within_s=5,
            )
            assert berth.run_command("stop", "-t", "0", "on").returncode == 0
            assert not Path(f"/proc/{pid}").exists()
            assert _facts(berth, "on") == "exited 0 137\n"
            stays = int(_facts(berth, "stays").split()[1])
            assert berth._process is not None
            berth._process.send_signal(signal.SIGTERM)
            assert berth._process.wait(STOP_TIMEOUT_S) == 0
            assert Path(f"/proc/{stays}").exists()
