"""What is done to containers that are there, beside their life: `engine.operations`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.containers.observe import observe
from engine.containers.states import Action, State, require
from engine.errors import WrongState

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.containers.folder import ContainerFolder
    from engine.containers.lifecycle import Parts
    from engine.containers.locks import ContainerLocks


class Operations:
    """One container is worked on by one thread at a time."""

    def __init__(self, parts: Parts, locks: ContainerLocks, open_folder: Callable[[str], ContainerFolder]) -> None:
        self._parts = parts
        self._locks = locks
        self._container = open_folder

    def pause(self, container_id: str) -> None:
        """Hold all its processes, those of further commands too.

        Raises:
            WrongState: it does not run, or is paused already.
        """
        with self._locks.hold(container_id):
            folder = self._running(container_id)
            if self._parts.runc.is_paused(container_id):
                msg = f"Container {container_id} is already paused"
                raise WrongState(msg, subject=container_id)
            self._parts.runc.pause(container_id, folder.bundle.runc_log)

    def unpause(self, container_id: str) -> None:
        """Let them go on.

        Raises:
            WrongState: it does not run, or is not paused.
        """
        with self._locks.hold(container_id):
            folder = self._running(container_id)
            if not self._parts.runc.is_paused(container_id):
                msg = f"Container {container_id} is not paused"
                raise WrongState(msg, subject=container_id)
            self._parts.runc.resume(container_id, folder.bundle.runc_log)

    def _running(self, container_id: str) -> ContainerFolder:
        folder = self._container(container_id)
        state = observe(self._parts.config, folder, self._parts.runc).state
        if state is State.ABSENT:
            require(Action.STOP, state, container_id)
        if state is not State.RUNNING:
            msg = f"Container {container_id} is not running"
            raise WrongState(msg, subject=container_id)
        return folder
