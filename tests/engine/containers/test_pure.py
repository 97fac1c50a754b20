"""The state table, records and locks."""

from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.containers.locks import ContainerLocks
from engine.containers.record import Exit, Record, read_record, write_record
from engine.containers.states import Action, State, may, require
from engine.errors import WrongState
from engine.kernel.pidfd import ProcessIdentity
from tests.support.examples import examples

ID = "cd" * 32
ALLOWED = {
    Action.CREATE: {State.ABSENT},
    Action.START: {State.CREATED, State.EXITED},
    Action.STOP: {State.RUNNING, State.MONITOR_LOST},
    Action.KILL: {State.RUNNING, State.MONITOR_LOST},
    Action.RELEASE: {State.ABSENT, State.CREATED, State.EXITED},
    Action.REMOVE: {State.ABSENT, State.CREATED, State.EXITED},
}


@pytest.mark.parametrize(("action", "state"), itertools.product(Action, State))
def test_each_action_is_allowed_in_its_states_only(action, state):
    assert may(action, state) == (state in ALLOWED[action])
    if may(action, state):
        require(action, state, ID)
    else:
        with pytest.raises(WrongState) as caught:
            require(action, state, ID)
        assert ID[:12] in str(caught.value)


def test_the_sentences_are_dockers():
    with pytest.raises(WrongState, match="You cannot remove a running container"):
        require(Action.REMOVE, State.RUNNING, ID)
    with pytest.raises(WrongState, match="No such container: cdcdcdcdcdcd"):
        require(Action.START, State.ABSENT, ID)
    with pytest.raises(WrongState, match="is not running"):
        require(Action.KILL, State.EXITED, ID)


times = st.datetimes(timezones=st.just(UTC))
identities = st.builds(ProcessIdentity, st.uuids().map(str), st.integers(1, 4_000_000), st.integers(0, 2**63))
exits = st.builds(Exit, st.none() | st.integers(0, 255), st.booleans(), times, st.text(max_size=40))
records = st.builds(
    Record,
    stage=st.text(max_size=10),
    boot_id=st.uuids().map(str),
    monitor=st.none() | identities,
    init=st.none() | identities,
    started_at=st.none() | times,
    exit=st.none() | exits,
)


@settings(max_examples=examples(100))
@given(records)
def test_a_record_can_be_written_and_read_back(record):
    assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize("durable", [False, True])
def test_a_record_is_replaced_whole(tmp_path, durable):
    path = tmp_path / "state.json"
    record = Record("start", "boot", None, None, None, Exit(0, oom_killed=False, finished_at=datetime.now(UTC)))
    write_record(path, Record())
    write_record(path, record, durable=durable)
    assert read_record(path) == record
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"exit": {}}', b'{"monitor": "x"}'])
def test_a_broken_record_counts_as_none(tmp_path, content):
    path = tmp_path / "state.json"
    path.write_bytes(content)
    assert read_record(path) is None


def test_one_thread_at_a_time_works_on_a_container():
    locks = ContainerLocks()
    inside, most = 0, 0

    def work():
        nonlocal inside, most
        for _ in range(200):
            with locks.hold(ID):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert not locks._locks


def test_a_held_lock_is_passed_over_and_not_waited_for():
    locks = ContainerLocks()
    seen = []

    def look():
        with locks.try_hold(ID) as held:
            seen.append(held)

    with locks.hold(ID):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    look()
    assert seen == [False, True]
