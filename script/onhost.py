"""What script/server does to the host beside starting: the systemd unit, and taking everything away again.

A unit of systemd's starts script/server, which ends in supervisord. Containers and their monitors have control groups of
their own, outside the unit's, so a stop or a restart of the unit leaves them running (ADR 18).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

UNIT = Path("/etc/systemd/system/berth.service")
COMMAND = Path("/usr/local/bin/berth")
KEPT = ("DATABASE_URL", "REDIS_URL", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
NOT_KEPT = ("BERTH_WORKER", "BERTH_TESTING")


def unit_text(root: Path) -> str:
    """`KillMode=mixed`: supervisord is asked to stop, and ends its processes in order; what is left then is killed."""
    return f"""\
# Written by script/server --install; script/server --uninstall takes it away. Settings stand in {root}/.env
[Unit]
Description=Berth: containers and their dashboard
Documentation=file://{root}/README.md
Wants=network-online.target
After=network-online.target local-fs.target nftables.service

[Service]
ExecStart={root}/script/server
KillMode=mixed
TimeoutStopSec=90
Restart=always
RestartSec=2
LimitNOFILE=1048576
TasksMax=infinity

[Install]
WantedBy=multi-user.target
"""


def install(settings: ModuleType, root: Path, given: Mapping[str, str], stop: Callable[[str], None]) -> None:
    """Write the unit and have it start at boot, and now where systemd runs. Safe to repeat. `given`: this shell's variables."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        stop("systemd is not on this machine. Have your own supervisor run script/server, in the foreground.")
        return
    keep_settings(root / ".env", given, settings.BERTH_GID)
    UNIT.parent.mkdir(parents=True, exist_ok=True)
    UNIT.write_text(unit_text(root))
    if not COMMAND.exists() and not COMMAND.is_symlink():
        COMMAND.parent.mkdir(parents=True, exist_ok=True)
        COMMAND.symlink_to(root / "script" / "berth")
    is_running = Path("/run/systemd/system").is_dir()
    if is_running:
        _run(systemctl, "daemon-reload", stop=stop)
    _run(systemctl, "enable", "--quiet", UNIT.name, stop=stop)
    print(f"Berth: {UNIT} is written. Berth starts with this machine from now on; containers outlive its restarts.")
    if not is_running:
        print("Berth: systemd does not run here, so nothing was started.")
        return
    _run(systemctl, "restart", UNIT.name, stop=stop)
    print(
        f"Berth: it is starting at {settings.BERTH_PUBLIC_URL}. Whether it runs: systemctl status berth. "
        "How to sign in first: journalctl -u berth -o cat"
    )


def keep_settings(file: Path, given: Mapping[str, str], gid: int) -> None:
    """What was set for this command alone holds at every boot: it goes into `.env`, where command line and server read it."""
    wanted = {
        name: value
        for name, value in sorted(given.items())
        if (name.startswith("BERTH_") and name not in NOT_KEPT) or name in KEPT
    }
    lines = file.read_text().splitlines() if file.exists() else []
    names = {line.strip().removeprefix("export ").partition("=")[0].strip() for line in lines}
    if not (new := [f"{name}='{value}'" for name, value in wanted.items() if name not in names]):
        return
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o640)
    with os.fdopen(fd, "w") as out:
        os.fchown(fd, 0, gid)
        out.write("".join(f"{line}\n" for line in new))
    print(f"Berth: kept in {file}: {', '.join(line.partition('=')[0] for line in new)}")


def uninstall(root: Path, stop: Callable[[str], None]) -> None:
    """Stop it and take the unit away. Containers go on, data stays. Safe to repeat."""
    systemctl = shutil.which("systemctl")
    if systemctl is not None and UNIT.exists():
        now = ["--now"] if Path("/run/systemd/system").is_dir() else []
        _run(systemctl, "disable", "--quiet", *now, UNIT.name, stop=stop)
    UNIT.unlink(missing_ok=True)
    if COMMAND.is_symlink() and os.readlink(COMMAND) == str(root / "script" / "berth"):
        COMMAND.unlink()
    print(
        "Berth: it starts with this machine no more. Containers that ran run on; script/server --clean-up ends them and "
        "takes away what they need."
    )


def _run(*argv: str, stop: Callable[[str], None]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        stop(f"'{' '.join(argv)}' failed: {done.stderr.strip()[:2000]}")


def clean_up(settings: ModuleType, stop: Callable[[str], None], *, force: bool) -> None:
    """Everything of Berth on this host but its data. Berth must have been stopped."""
    from dashboard import gateway

    try:
        gone = gateway.engine().dismantle(force=force)
    except gateway.WrongState as error:
        stop(str(error))
        return
    shutil.rmtree(settings.BERTH_RUN, ignore_errors=True)
    print(f"Berth: {gone} containers were ended. Nothing of Berth is left here but its data in {settings.BERTH_DATA}.")
