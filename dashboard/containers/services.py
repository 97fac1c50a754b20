"""What containers do for pages and the command door."""

from __future__ import annotations

from dashboard.containers.creation import NameTaken, create
from dashboard.containers.execs import end as end_exec
from dashboard.containers.execs import seen as find_exec
from dashboard.containers.execs import start as start_exec
from dashboard.containers.inspection import (
    chosen_containers,
    container_line,
    docker_exit_code,
    docker_state,
    inspect,
    inspect_sizes,
)
from dashboard.containers.lifecycle import (
    is_watched,
    kill,
    measure,
    remove,
    remove_if_due,
    restart,
    start,
    stop,
    wait_exit,
)
from dashboard.containers.lookup import NoSuchContainer, by_id, containers_for, find
from dashboard.containers.networking import connect as connect_network
from dashboard.containers.networking import disconnect as disconnect_network
from dashboard.containers.operations import changes, is_down, pause, processes, prunable, rename, unpause, update
from dashboard.containers.ports import shown as shown_ports

__all__ = [
    "NameTaken",
    "NoSuchContainer",
    "by_id",
    "changes",
    "chosen_containers",
    "connect_network",
    "container_line",
    "containers_for",
    "create",
    "disconnect_network",
    "docker_exit_code",
    "docker_state",
    "end_exec",
    "find",
    "find_exec",
    "inspect",
    "inspect_sizes",
    "is_down",
    "is_watched",
    "kill",
    "measure",
    "pause",
    "processes",
    "prunable",
    "remove",
    "remove_if_due",
    "rename",
    "restart",
    "shown_ports",
    "start",
    "start_exec",
    "stop",
    "unpause",
    "update",
    "wait_exit",
]
