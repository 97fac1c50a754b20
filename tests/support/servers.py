"""Two images as teams run them, on one Debian by mmdebstrap: a web server (lighttpd) and a database (MariaDB).

Both have EXPOSE, VOLUME, an entry point that prepares on first use, and a process that is not root.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.debian import CACHE
from tests.support.images import Entry, TestImage, image, layer, program, push
from tests.support.shell_image import PATH

PACKAGES = "mariadb-server-core,mariadb-client-core,mariadb-client,lighttpd,iputils-ping"
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")

DATABASE_ENTRY = r"""#!/bin/sh
# Prepares an empty volume from MARIADB_ROOT_PASSWORD (and _DATABASE, _USER, _PASSWORD), then is the server, as mysql.
set -eu
data=/var/lib/mysql
[ "${1:-}" = mariadbd ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
    mkdir -p /run/mysqld
    chown mysql:mysql /run/mysqld "$data"
    exec setpriv --reuid=mysql --regid=mysql --init-groups --inh-caps=-all -- "$0" "$@"
fi
quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/[\\\\']/\\\\&/g")"; }
if [ ! -e "$data/.prepared" ]; then
    if [ -z "${MARIADB_ROOT_PASSWORD:-}" ]; then
        echo "Set MARIADB_ROOT_PASSWORD: the volume is empty and root needs a password." >&2
        exit 1
    fi
    find "$data" -mindepth 1 -delete # what an earlier start that was killed left half done
    mariadb-install-db --datadir="$data" --skip-test-db --auth-root-authentication-method=normal >/dev/null
    {
        echo "FLUSH PRIVILEGES;"
        echo "ALTER USER root@localhost IDENTIFIED BY $(quoted "$MARIADB_ROOT_PASSWORD");"
        [ -z "${MARIADB_DATABASE:-}" ] || echo "CREATE DATABASE \`$MARIADB_DATABASE\`;"
        if [ -n "${MARIADB_USER:-}" ]; then
            echo "CREATE USER '$MARIADB_USER'@'%' IDENTIFIED BY $(quoted "$MARIADB_PASSWORD");"
            echo "GRANT ALL ON \`$MARIADB_DATABASE\`.* TO '$MARIADB_USER'@'%';"
        fi
    } | mariadbd --bootstrap --datadir="$data" 2>/dev/null
    touch "$data/.prepared"
    echo "prepared the volume"
fi
unset MARIADB_ROOT_PASSWORD MARIADB_PASSWORD
exec "$@" --datadir="$data" --socket=/run/mysqld/mysqld.sock --pid-file=/run/mysqld/mysqld.pid --bind-address=0.0.0.0
"""

WEB_ENTRY = """#!/bin/sh
# Gives an empty volume a first page, then is the server.
set -eu
[ -e /var/www/html/index.html ] || echo "it works: $(hostname)" > /var/www/html/index.html
exec "$@"
"""
WEB_SETTINGS = """\
server.document-root = "/var/www/html"
server.port = 80
server.errorlog = "/dev/stderr"
index-file.names = ("index.html")
"""


def servers_tar() -> Path:
    """Path of an uncompressed tar of Debian bookworm with both servers. Made on first use, about a minute."""
    tar = CACHE / "servers-bookworm-1.tar"
    if not tar.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = CACHE / f"partial-servers-{os.getpid()}.tar"
        argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}"]
        argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
        argv += ['--customize-hook=chroot "$1" useradd --system --user-group --home-dir /nonexistent mysql']
        argv += ['--customize-hook=mkdir -p "$1/var/lib/mysql" && chroot "$1" chown mysql:mysql /var/lib/mysql']
        argv += ['--customize-hook=rm -f "$1"/var/www/html/* && chroot "$1" chown -R www-data: /var/www/html']
        subprocess.run([*argv, "bookworm", str(partial)], check=True, stdin=subprocess.DEVNULL)
        partial.rename(tar)
    return tar


def server_images() -> dict[str, TestImage]:
    """The images by the names that they are pushed under; their first layer is the same."""
    base = layer(servers_tar().read_bytes(), compression="zstd")
    database = layer([program("usr/local/bin/entry-mariadb", DATABASE_ENTRY.encode())])
    settings = Entry("etc/lighttpd/web.conf", data=WEB_SETTINGS.encode())
    web = layer([program("usr/local/bin/entry-web", WEB_ENTRY.encode()), settings])
    return {
        "library/mariadb:test": image(
            [base, database],
            Entrypoint=["entry-mariadb"],
            Cmd=["mariadbd", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M"],
            Env=[PATH],
            ExposedPorts={"3306/tcp": {}},
            Volumes={"/var/lib/mysql": {}},
        ),
        "library/web:test": image(
            [base, web],
            Entrypoint=["entry-web"],
            Cmd=["lighttpd", "-D", "-f", "/etc/lighttpd/web.conf"],
            Env=[PATH],
            User="www-data",
            ExposedPorts={"80/tcp": {}},
            Volumes={"/var/www/html": {}},
        ),
    }


def push_server_images(url: str) -> None:
    for name, content in server_images().items():
        push(url, name, content)
