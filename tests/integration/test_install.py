"""Berth as a service of the host: installed, taken back, taken off; and a real systemd around all of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from script.onhost import keep_settings, unit_text
from tests.support.registry import Registry
from tests.support.server import ROOT, BerthServer, clean_up, left_of
from tests.support.shell_image import push_shell_images
from tests.support.systemd import SYSTEMD, booted
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(400)]
IMAGE = "ubuntu:14.04"
UNIT = Path("/etc/systemd/system/berth.service")
ELSEWHERE = "mount -t tmpfs none /etc/systemd/system && mount -t tmpfs none /usr/local/bin && "


def privately(script: str) -> subprocess.CompletedProcess[str]:
    """With units and commands of its own, so that this machine's stay as they are."""
    env = {"PATH": os.environ["PATH"], "HOME": "/root"}  # nothing of it is to be kept in .env
    argv = ["unshare", "--mount", "sh", "-c", ELSEWHERE + script]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=env, cwd=ROOT)


def test_the_unit_is_written_again_and_again_and_taken_back():
    done = privately(
        "script/server --install && script/server --install && systemd-analyze verify /etc/systemd/system/berth.service && "
        "cat /etc/systemd/system/berth.service && readlink /usr/local/bin/berth "
        "/etc/systemd/system/multi-user.target.wants/berth.service && script/server --uninstall && "
        "script/server --uninstall && find /etc/systemd/system /usr/local/bin -name 'berth*'"
    )
    assert done.returncode == 0, done.stderr
    assert unit_text(ROOT) in done.stdout
    after = done.stdout.split(unit_text(ROOT))[1].splitlines()
    assert after[:2] == [f"{ROOT}/script/berth", str(UNIT)]
    assert "it starts with this machine no more" in after[2]
    assert len(after) == 4, "nothing is left of it"
    assert not (ROOT / ".env").exists()


def test_settings_of_the_installing_shell_are_kept_once(tmp_path, capsys):
    file = tmp_path / ".env"
    file.write_text("BERTH_LISTEN=127.0.0.1:9000\n")
    given = {"BERTH_DATA": "/srv/berth", "BERTH_LISTEN": "127.0.0.1:1", "BERTH_WORKER": "web", "HOME": "/root"}
    for _ in range(2):
        keep_settings(file, given, os.getgid())
    assert file.read_text() == "BERTH_LISTEN=127.0.0.1:9000\nBERTH_DATA='/srv/berth'\n"
    assert capsys.readouterr().out == f"Berth: kept in {file}: BERTH_DATA\n"


def test_everything_is_taken_off_the_host_but_the_data(registry):
    with BerthServer(mirrors={"docker.io": registry.url}) as berth:
        made = berth.run_command("run", "-d", "--name", "boat", IMAGE, "sh", "-c", "echo kept > /note; sleep 600")
        container_id = made.stdout.strip()
        server = [str(ROOT / "script" / "server"), "--clean-up"]

        def clean(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([*server, *words], env=berth.environment, capture_output=True, text=True, check=False)

        busy = clean()
        assert (busy.returncode, "it is already running on" in busy.stderr) == (2, True)
        berth.stop()
        refused = clean()
        assert refused.returncode == 2
        assert f"containers still run: {container_id[:12]}. Stop them, or add --force" in refused.stderr
        done = clean("--force")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Berth: 1 containers were ended. Nothing of Berth is left here")
        assert left_of(berth.data) == []
        assert not berth.run.exists()
        assert clean().returncode == 0
        berth.start()
        assert berth.run_command("ps", "-a", "--format", "{{.Status}}").stdout.startswith("Exited")
        assert berth.run_command("start", "boat").returncode == 0
        assert berth.run_command("exec", "boat", "cat", "/note").stdout == "kept\n"


@pytest.mark.long
@pytest.mark.skipif(not SYSTEMD.exists(), reason="needs systemd")
def test_containers_outlive_the_unit_and_come_back_after_a_reboot(tmp_path_factory):
    with Registry() as registry:
        push_shell_images(registry.url)
        berth = BerthServer(mirrors={"docker.io": registry.url})
        berth.folder = Path(subprocess.check_output(["mktemp", "-d", "/var/lib/berth-unit-XXXXXX"], text=True).strip())
        berth.folder.chmod(0o755)
        berth.port = int(subprocess.check_output(["sh", "-c", "echo $((20000 + $$ % 9000))"], text=True))
        own = {name: value for name, value in berth.environment.items() if name.startswith(("BERTH_", "NO_PROXY"))}
        kept = tmp_path_factory.mktemp("kept")
        try:
            with booted(berth.folder) as machine:
                machine.run(str(ROOT / "script" / "server"), "--install", env=own)
                berth.wait_healthy()
                command = (str(ROOT / "script" / "berth"),)
                loop = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done"
                machine.run(
                    *command, "run", "-d", "--name", "boat", "--restart", "always", IMAGE, "sh", "-c", loop, env=own
                )
                machine.run(*command, "run", "-d", "--name", "dinghy", IMAGE, "sleep", "600", env=own)
                pid = machine.run(*command, "inspect", "-f", "{{.State.Pid}}", "boat", env=own).stdout
                for act in ("restart", "stop"):
                    machine.run("systemctl", act, "berth")
                    assert Path(f"/proc/{machine.pid}/root/proc/{pid.strip()}/comm").read_text() in {
                        "sh\n",
                        "busybox\n",
                    }
                machine.run("systemctl", "start", "berth")
                berth.wait_healthy()
                assert machine.run(*command, "inspect", "-f", "{{.State.Pid}}", "boat", env=own).stdout == pid
                for source, name in ((UNIT, "unit"), (ROOT / ".env", "env")):
                    (kept / name).write_text(machine.run("cat", str(source)).stdout)
            with booted(berth.folder, unit=kept / "unit", env_file=(kept / "env", ROOT / ".env")) as machine:
                berth.wait_healthy()
                status = (str(ROOT / "script" / "berth"), "ps", "-a", "--format", "{{.Names}} {{.State}}")
                until(
                    "what has a restart policy runs again, and nothing else",
                    lambda: (
                        sorted(machine.run(*status, env=own).stdout.split("\n"))[1:]
                        == ["boat running", "dinghy exited"]
                    ),
                )
                machine.run("systemctl", "stop", "berth")
        finally:
            clean_up(berth.data)
            subprocess.run(["rm", "-rf", "--one-file-system", str(berth.folder)], check=False)
