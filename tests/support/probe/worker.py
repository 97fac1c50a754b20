"""An engine worker that dies at a chosen moment: `python -m tests.support.probe.worker DATA RUN UID GID ID MOMENT [PORT…]`.

MOMENT is a step's name (dies just before it), `creating` (conmon runs, runc has not answered) or `started` (right
after the last step). Each PORT of the host's loopback leads to port 80 of the container.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from engine.api import Engine
from engine.config import EngineConfig
from engine.network import Published
from engine.runtime import conmon


def die(*_ignored) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    data, run, uid, gid, container_id, moment, *ports = sys.argv[1:]
    config = EngineConfig(data=Path(data), run_parent=Path(run), uid=int(uid), gid=int(gid))
    if moment == "creating":
        conmon._read_line = die
    engine = Engine(config, before_step=lambda step: die() if step == moment else None)
    published = [Published(protocol="tcp", address="127.0.0.1", port=int(port), container_port=80) for port in ports]
    engine.start(container_id, published=published)
    die()


if __name__ == "__main__":
    main()
