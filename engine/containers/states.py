"""What a container can be, as seen from outside, and what may be done with it then. Pure.

Rules:

    absent ──create──▶ created ──start──▶ running ──(ends)──▶ exited ──start──▶ running
                          │                  │                   │
                          └────── remove ◀───┴─ monitor-lost ────┘      (a running one only after it was killed)

`created` also means: a start that was cut off, of which nothing lives. `exited` needs no process and no monitor.
`monitor-lost`: the command lives, conmon does not; nobody holds its terminal and nobody will know its exit code, so it
is killed (F16). If you add a state, say here what may be done with it, and in `observe.py` how it is seen.
"""

from __future__ import annotations

from enum import StrEnum

from engine.errors import WrongState


class State(StrEnum):
    ABSENT = "absent"
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    MONITOR_LOST = "monitor-lost"


class Action(StrEnum):
    CREATE = "create"
    START = "start"
    STOP = "stop"
    KILL = "kill"
    RELEASE = "release"
    REMOVE = "remove"


_ALLOWED: dict[Action, frozenset[State]] = {
    Action.CREATE: frozenset({State.ABSENT}),
    Action.START: frozenset({State.CREATED, State.EXITED}),
    Action.STOP: frozenset({State.RUNNING, State.MONITOR_LOST}),
    Action.KILL: frozenset({State.RUNNING, State.MONITOR_LOST}),
    Action.RELEASE: frozenset({State.ABSENT, State.CREATED, State.EXITED}),
    Action.REMOVE: frozenset({State.ABSENT, State.CREATED, State.EXITED}),
}
_SENTENCES: dict[Action, str] = {
    Action.CREATE: "The container {id} exists already.",
    Action.START: "The container {id} is {state}, so it cannot be started.",
    Action.STOP: "Container {id} is not running",
    Action.KILL: "Cannot kill container: {id}: Container {id} is not running",
    Action.RELEASE: "The container {id} is still running.",
    Action.REMOVE: "You cannot remove a running container {id}. Stop the container before attempting removal or force remove",
}


def may(action: Action, state: State) -> bool:
    return state in _ALLOWED[action]


def require(action: Action, state: State, container_id: str) -> None:
    """Let the action go on only from a state that allows it.

    Raises:
        WrongState: in Docker's words where it has some.
    """
    if may(action, state):
        return
    if state is State.ABSENT:
        msg = f"No such container: {container_id[:12]}"
    else:
        msg = _SENTENCES[action].format(id=container_id[:12], state=state)
    raise WrongState(msg, subject=container_id)
