"""Containers that are there, on the real runc: pausing them."""

from __future__ import annotations

import time

import pytest

from engine.containers.states import State
from engine.errors import RuntimeFailed, WrongState
from tests.support.waiting import until

pytestmark = pytest.mark.root
COUNTING = ("/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done")
POLITE = ("/bin/sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")


def log_bytes(lab, container_id) -> int:
    return (lab.config.io(container_id) / "ctr.log").stat().st_size


def _still(lab, container_id) -> int:
    """How long its log is, if it did not grow for six turns of its loop; else 0."""
    before = log_bytes(lab, container_id)
    time.sleep(0.3)
    return before if log_bytes(lab, container_id) == before else 0


def test_a_paused_container_does_nothing_until_it_goes_on(lab):
    with lab.started(*COUNTING) as container_id:
        lab.wait_for_output(container_id, "3\n")
        lab.engine.operations.pause(container_id)
        assert lab.engine.observe(container_id).paused
        held = until("conmon has written what there was", lambda: _still(lab, container_id))
        with pytest.raises(WrongState, match="already paused"):
            lab.engine.operations.pause(container_id)
        lab.engine.operations.unpause(container_id)
        assert not lab.engine.observe(container_id).paused
        until("it goes on", lambda: log_bytes(lab, container_id) > held)
        with pytest.raises(WrongState, match="is not paused"):
            lab.engine.operations.unpause(container_id)


def test_what_does_not_run_cannot_be_paused(lab):
    container_id = lab.create("/bin/true")
    for act in (lab.engine.operations.pause, lab.engine.operations.unpause):
        with pytest.raises(WrongState, match=f"Container {container_id} is not running"):
            act(container_id)
    lab.engine.remove(container_id)
    with pytest.raises(WrongState, match="No such container"):
        lab.engine.operations.pause(container_id)


def test_a_stop_reaches_a_paused_container_at_once(lab):
    with lab.started(*POLITE) as container_id:
        lab.wait_for_output(container_id, "ready")
        lab.engine.operations.pause(container_id)
        began = time.monotonic()
        lab.engine.stop(container_id, 20)
        assert time.monotonic() - began < 10
        assert lab.wait_for(container_id, State.EXITED).exit.code == 7


@pytest.mark.parametrize(("number", "code"), [("KILL", 137), ("TERM", 7)])
def test_a_kill_reaches_a_paused_container(lab, number, code):
    with lab.started(*POLITE) as container_id:
        lab.wait_for_output(container_id, "ready")
        lab.engine.operations.pause(container_id)
        lab.engine.kill(container_id, number)
        assert lab.wait_for(container_id, State.EXITED).exit.code == code


def test_a_paused_container_takes_no_further_command(lab, box):
    lab.engine.operations.pause(box.container_id)
    try:
        with pytest.raises(WrongState, match="is paused, unpause the container before exec"):
            box.run("/bin/true")
    finally:
        lab.engine.operations.unpause(box.container_id)
    assert box.out("/bin/echo", "again") == "again\n"


def test_what_runc_says_is_told(lab):
    with lab.started("/bin/sleep", "60") as container_id:
        log = lab.config.container(container_id) / "runc.log"
        with pytest.raises(RuntimeFailed, match=r"The container could not go on: .+"):
            lab.engine.operations._parts.runc.resume(container_id, log)
    with pytest.raises(RuntimeFailed, match=r"The container could not be paused: .+"):
        lab.engine.operations._parts.runc.pause(container_id, lab.config.run / "none.log")
