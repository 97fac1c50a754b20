"""From settings to running processes: folders, secrets, the database, then supervisord in place of this process.

Started by script/server, after script/bootstrap. `--announce` is its other half: it runs under supervisord, waits until
everything answers, and says so.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.dont_write_bytecode = True

import onhost  # noqa: E402 - beside this file

BIN = ROOT / ".venv" / "bin"
LOCK_FD = 3  # supervisord closes what it inherits from 5 on
LATE_S = 60
LOCAL = {"127.0.0.1", "localhost", "::1"}


def stop(sentence: str) -> None:
    print(f"Berth: {sentence}", file=sys.stderr)
    raise SystemExit(2)


def read_settings() -> ModuleType:
    """dashboard.settings, read without starting Django, so that what is wrong in them is one sentence."""
    from client.locate import settings as from_file

    for name, value in from_file().items():
        os.environ.setdefault(name, value)
    from django.core.exceptions import ImproperlyConfigured

    try:
        from dashboard import settings
    except ImproperlyConfigured as error:
        stop(str(error))
    if not settings.BERTH_DATA.is_absolute():
        stop(f"BERTH_DATA must be an absolute path, not '{settings.BERTH_DATA}'.")
    return settings


def check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                stop(
                    f"the port {port} is taken by another program. Set BERTH_LISTEN to another one, as in BERTH_LISTEN=127.0.0.1:8001 script/server"
                )
            stop(f"cannot listen on {host}:{port}: {error.strerror}.")


def warn_of_open_listen(settings: ModuleType, host: str) -> None:
    if host not in LOCAL and not settings.IS_HTTPS:
        print(
            f"Berth: listening on {settings.BERTH_LISTEN} in plain HTTP: passwords can be read on the way. Use a proxy "
            "with TLS and BERTH_PUBLIC_URL=https://…, or 127.0.0.1 and ssh -L.",
            file=sys.stderr,
        )


def folder(path: Path, mode: int, uid: int = 0, gid: int = 0) -> Path:
    """Made, or put right: mode and owner as they must be."""
    if path.is_symlink():
        stop(f"{path} is a symbolic link; Berth needs a real folder there.")
    path.mkdir(mode=mode, exist_ok=True)
    os.chown(path, uid, gid)
    path.chmod(mode)
    return path


def make_folders(settings: ModuleType) -> None:
    uid, gid = settings.BERTH_UID, settings.BERTH_GID
    data, run = settings.BERTH_DATA, settings.BERTH_RUN
    data.parent.mkdir(parents=True, exist_ok=True)
    folder(data, 0o711)
    for name in ("db", "blobs", "ingest", "incoming"):
        folder(data / name, 0o750, uid, gid)
    folder(data / "transfers", 0o700, uid, gid)
    folder(data / "logs", 0o750, 0, gid)
    for name in ("layers", "containers"):
        folder(data / name, 0o711)
    folder(run, 0o711)
    folder(run / "redis", 0o700, uid, gid)
    folder(run / "state", 0o755, uid, gid)
    if run_as(settings, ["/usr/bin/test", "-w", str(data / "db")]).returncode:
        stop(
            f"the user {settings.BERTH_USER} cannot enter {data}. Its parent folders need the mode 0711 or 0755, or set BERTH_DATA."
        )


def write(path: Path, text: str, mode: int, gid: int = 0) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(fd, "w") as file:
        os.fchown(fd, 0, gid)
        os.fchmod(fd, mode)
        file.write(text)
    fresh.replace(path)


def make_secret_keys(settings: ModuleType) -> None:
    """For sessions and links, and for registries' passwords: each once, as what it protects is lost with it."""
    path = settings.BERTH_DATA / "secret-key"
    if not path.is_file() or len(path.read_text().strip()) < 50:
        write(path, secrets.token_urlsafe(64) + "\n", 0o640, settings.BERTH_GID)
    path = settings.BERTH_DATA / "credentials-key"
    if not path.is_file() or not path.read_text().strip():
        write(path, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() + "\n", 0o640, settings.BERTH_GID)


def forget_findings(settings: ModuleType) -> None:
    """What an earlier engine found is not what this one finds."""
    (settings.BERTH_RUN / "findings.json").unlink(missing_ok=True)


def take_lock(settings: ModuleType, *, needed: bool) -> None:
    """Held by supervisord, which takes this process's place, for as long as it runs."""
    lock = os.open(settings.BERTH_RUN / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who, _, where = os.read(lock, 4096).decode("utf-8", "replace").strip().partition("\n")
        stop(f"it is already running on {settings.BERTH_DATA} (process {who}), at {where}")
    if not needed:
        os.close(lock)
        return
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n{settings.BERTH_PUBLIC_URL}\n".encode())
    if lock != LOCK_FD:
        os.dup2(lock, LOCK_FD, inheritable=True)
    os.set_inheritable(LOCK_FD, True)  # noqa: FBT003 - os names no argument


def as_user(settings: ModuleType) -> list[str]:
    if os.getuid() == settings.BERTH_UID:
        stop(f"there is no user {settings.BERTH_USER}; script/bootstrap makes it.")
    return ["setpriv", f"--reuid={settings.BERTH_UID}", f"--regid={settings.BERTH_GID}", "--init-groups"]


def environment(settings: ModuleType) -> dict[str, str]:
    """`MALLOC_ARENA_MAX`: a heap for each of many threads keeps what all of them once needed (11 MiB in the engine worker)."""
    own = {"HOME": str(settings.BERTH_DATA), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    return os.environ | own | {"MALLOC_ARENA_MAX": "2"}


def run_as(
    settings: ModuleType, argv: list[str], **how: Any
) -> subprocess.CompletedProcess[str]:  # subprocess.run's own
    return subprocess.run([*as_user(settings), *argv], env=environment(settings), cwd=ROOT, check=False, **how)


def prepare_database(settings: ModuleType) -> None:
    """As the unprivileged user, whose the database's files are to be (settled.md 9). Makes this start's secrets."""
    done = run_as(
        settings,
        [str(BIN / "python"), "manage.py", "prepare"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        stop(done.stderr.strip().removeprefix("CommandError: ")[-2000:])
    found = json.loads(done.stdout.strip().splitlines()[-1])
    write(settings.BERTH_RUN / "admin-token", found["admin_token"] + "\n", 0o600)
    link = settings.BERTH_PUBLIC_URL + found["setup_path"] if found["setup_path"] else ""
    write(settings.BERTH_RUN / "setup-link", link, 0o600)


def programs(settings: ModuleType, host: str, port: int) -> dict[str, dict[str, object]]:
    """What runs, in the order in which it starts."""
    celery = [
        str(BIN / "celery"),
        "-A",
        "dashboard.celery",
        "worker",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        "-l",
        "INFO",
    ]
    daphne = [str(BIN / "daphne"), "-b", host, "-p", str(port), "--no-server-name", "--websocket_timeout", "-1"]
    daphne += ["--websocket-max-message-size", "131072", "--websocket-max-frame-size", "131072"]
    daphne += [
        "--application-close-timeout",
        "10",
        "-v",
        "1",
        "--access-log",
        "/dev/null",
        "dashboard.asgi:application",
    ]
    found: dict[str, dict[str, object]] = {
        "web": {"argv": daphne, "priority": 20, "group": True},
        # It mostly waits for registries; the work that takes a processor is the layers' worker's.
        "images": {
            "argv": [*celery, "-Q", "images", "-n", "images@%h", "-P", "threads", "-c", "4"],
            "priority": 20,
            "group": True,
        },
        "layers": {
            "argv": [*celery, "-Q", "layers", "-n", "layers@%h", "-c", str(settings.BERTH_PULL_PARALLEL)],
            "priority": 20,
            "group": True,
        },
        # Never its group: the monitors of containers are its children until they have let go.
        "engine": {
            "argv": [*celery, "-Q", "engine", "-n", "engine@%h", "-P", "threads", "-c", "32"],
            "priority": 20,
            "root": True,
        },
    }
    if settings.OWN_REDIS:
        found = {
            "redis": {"argv": ["/usr/bin/redis-server", redis_file(settings)], "priority": 10, "group": True}
        } | found
    return found


def redis_file(settings: ModuleType) -> str:
    """No port; the socket in a folder that only its owner enters; no command that reads, writes or loads files."""
    place = settings.BERTH_RUN / "redis"
    lines = [
        "port 0",
        f"unixsocket {place}/redis.sock",
        "unixsocketperm 700",
        'save ""',
        "appendonly no",
        "daemonize no",
    ]
    lines += [f"dir {place}", "maxmemory 512mb", "maxmemory-policy noeviction", "protected-mode yes"]
    lines += [
        f'rename-command {name} ""'
        for name in ("CONFIG", "DEBUG", "MODULE", "SAVE", "BGSAVE", "BGREWRITEAOF", "REPLICAOF", "SLAVEOF", "MIGRATE")
    ]
    write(place / "redis.conf", "\n".join(lines) + "\n", 0o640, settings.BERTH_GID)
    return str(place / "redis.conf")


def quoted(argv: list[str]) -> str:
    return " ".join('"' + word.replace("%", "%%").replace('"', '\\"') + '"' for word in argv)


def supervisor_file(settings: ModuleType, host: str, port: int) -> Path:
    run, logs = settings.BERTH_RUN, settings.BERTH_DATA / "logs"
    escaped = {
        name: str(path).replace("%", "%%")
        for name, path in (("run", run), ("logs", logs), ("root", ROOT), ("data", settings.BERTH_DATA))
    }
    lines = [
        "[supervisord]", "nodaemon=true", "silent=true", "user=root", "umask=022", "minfds=4096",
        f"pidfile={escaped['run']}/supervisord.pid", f"directory={escaped['root']}", f"logfile={escaped['logs']}/supervisord.log",
        "logfile_maxbytes=5MB", "logfile_backups=2", f"childlogdir={escaped['logs']}",
        "[unix_http_server]", f"file={escaped['run']}/supervisor.sock", "chmod=0700",
        "[rpcinterface:supervisor]", "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "[supervisorctl]", f"serverurl=unix://{escaped['run']}/supervisor.sock",
    ]  # fmt: skip
    for name, program in programs(settings, host, port).items():
        worker = name if name not in {"redis", "web"} else ""
        lines += [
            f"[program:{name}]", f"command={quoted(program['argv'])}", f"priority={program['priority']}",
            f"user={'root' if program.get('root') else settings.BERTH_USER}", f"directory={escaped['root']}",
            f'environment=HOME="{escaped["data"]}",BERTH_WORKER="{worker}",PYTHONDONTWRITEBYTECODE="1",PYTHONUNBUFFERED="1"',
            "autorestart=true", "startsecs=3", "startretries=60", "stopsignal=TERM", "stopwaitsecs=20",
            f"killasgroup={'true' if program.get('group') else 'false'}",
            f"stdout_logfile={escaped['logs']}/{name}.log", "stdout_logfile_maxbytes=5MB", "stdout_logfile_backups=3", "redirect_stderr=true",
        ]  # fmt: skip
    # One group: they are stopped at the same time, and Redis after them.
    together = [name for name in programs(settings, host, port) if name != "redis"]
    lines += ["[group:berth]", f"programs={','.join(together)}", "priority=20"]
    lines += [
        "[program:announce]", f"command={quoted([str(BIN / 'python'), str(ROOT / 'script' / 'supervise.py'), '--announce'])}",
        "priority=90", "autorestart=false", "startsecs=0", "startretries=0", "stdout_logfile=/dev/stdout", "stdout_logfile_maxbytes=0",
        "redirect_stderr=true", 'environment=PYTHONUNBUFFERED="1"',
    ]  # fmt: skip
    path = run / "supervisord.conf"
    write(path, "\n".join(lines) + "\n", 0o600)
    return path


def parts_of(host: str, port: int, public_host: str) -> dict[str, object]:
    """/healthz of the web process; {} while it does not answer."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/healthz"
    request = urllib.request.Request(address, headers={"Host": public_host})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with contextlib.suppress(ValueError):
            return json.loads(error.read())
    except (OSError, ValueError):
        pass
    return {}


def missing_of(run: Path) -> list[str]:
    """A sentence for each thing without which no container can run here, as the engine worker found at its start."""
    try:
        findings = json.loads((run / "findings.json").read_text())["findings"]
        return [f"{found['summary']}. {found['meaning']}" for found in findings if found["blocks"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def announce(settings: ModuleType) -> None:
    """Wait until every part answers, then say where; say what is missing when that takes long."""
    host, port = settings.BERTH_HOST, settings.BERTH_PORT
    began, has_complained = time.monotonic(), False
    while True:
        parts = parts_of(host, port, settings.ALLOWED_HOSTS[0])
        waiting = [name for name, answers in parts.items() if answers is False] if parts else ["web"]
        if not waiting:
            break
        if time.monotonic() - began > LATE_S and not has_complained:
            has_complained = True
            print(
                f"Berth is not ready yet: no answer from {', '.join(waiting)}. The logs are in {settings.BERTH_DATA}/logs.",
                flush=True,
            )
        time.sleep(0.1 if time.monotonic() - began < LATE_S else 2)
    for sentence in missing_of(settings.BERTH_RUN):
        print(f"Berth cannot run containers on this host: {sentence}")
    print(f"Berth is ready at {settings.BERTH_PUBLIC_URL}")
    link = settings.BERTH_RUN / "setup-link"
    if link.is_file() and (address := link.read_text().strip()):
        print(f"First sign-in: {address}")
    link.unlink(missing_ok=True)
    if host in LOCAL:
        print(
            f"From another computer: ssh -L {port}:127.0.0.1:{port} {os.environ.get('SUDO_USER') or 'root'}@{socket.gethostname()}"
        )
    sys.stdout.flush()


def link_docker() -> None:
    place = Path("/usr/local/bin/docker")
    if shutil.which("docker") and not (place.is_symlink() and "/script/berth" in os.readlink(place)):
        stop("there is a docker on this machine already; --link-docker would hide it.")
    place.unlink(missing_ok=True)
    place.symlink_to(ROOT / "script" / "berth")


def only(settings: ModuleType, name: str) -> None:
    """One process in place of this one, for a supervisor of somebody else's. `web` makes the database ready."""
    host, port = settings.BERTH_HOST, settings.BERTH_PORT
    settings.OWN_REDIS = name == "redis"
    chosen = programs(settings, host, port).get(name)
    if chosen is None:
        stop(f"there is no process '{name}'; there are web, images, layers, engine and redis.")
    (settings.BERTH_RUN / "state" / f"{name}.ready").unlink(missing_ok=True)
    if name == "engine":
        forget_findings(settings)
    if name == "web":
        make_secret_keys(settings)
        prepare_database(settings)
        subprocess.Popen([str(BIN / "python"), __file__, "--announce"], cwd=ROOT)
    elif name != "redis":
        while (
            not (settings.BERTH_DATA / "secret-key").is_file()
            or run_as(
                settings, [str(BIN / "python"), "manage.py", "migrate", "--check"], capture_output=True
            ).returncode
        ):
            time.sleep(1)
    argv = chosen["argv"] if chosen.get("root") else [*as_user(settings), *chosen["argv"]]
    os.chdir(ROOT)
    os.execvpe(argv[0], argv, environment(settings) | {"BERTH_WORKER": "" if name == "web" else name})


def serve(settings: ModuleType) -> None:
    host, port = settings.BERTH_HOST, settings.BERTH_PORT
    make_folders(settings)
    take_lock(settings, needed=True)
    check_port(host, port)
    warn_of_open_listen(settings, host)
    for mark in (settings.BERTH_RUN / "state").iterdir():
        mark.unlink()
    forget_findings(settings)
    make_secret_keys(settings)
    prepare_database(settings)
    path = supervisor_file(settings, host, port)
    os.chdir(ROOT)
    os.execve(  # noqa: TID251 - in place of this process, nothing of ours goes on
        BIN / "supervisord", [str(BIN / "supervisord"), "-c", str(path)], environment(settings)
    )


def main() -> None:
    words = argparse.ArgumentParser(
        prog="script/server", description="Start Berth in the foreground. Ctrl-C stops it; containers go on."
    )
    words.add_argument("--only", metavar="NAME", help="one process: web, images, layers, engine or redis")
    words.add_argument("--link-docker", action="store_true", help="answer to `docker` too, where there is none")
    words.add_argument(
        "--install", action="store_true", help="start with this machine: write a systemd unit, and start it"
    )
    words.add_argument("--uninstall", action="store_true", help="stop, and take the unit away; containers go on")
    words.add_argument(
        "--clean-up", action="store_true", help="take networks, firewall rules, mounts and control groups off this host"
    )
    words.add_argument("--force", action="store_true", help="with --clean-up: end containers that run")
    words.add_argument("--announce", action="store_true", help=argparse.SUPPRESS)
    chosen = words.parse_args()
    given = dict(os.environ)
    settings = read_settings()
    if chosen.link_docker:
        link_docker()
    if chosen.install:
        onhost.install(settings, ROOT, given, stop)
    elif chosen.uninstall:
        onhost.uninstall(ROOT, stop)
    elif chosen.clean_up:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
        make_folders(settings)
        take_lock(settings, needed=False)
        onhost.clean_up(settings, stop, force=chosen.force)
    elif chosen.announce:
        announce(settings)
    elif chosen.only:
        make_folders(settings)
        only(settings, chosen.only)
    else:
        serve(settings)


if __name__ == "__main__":
    main()
