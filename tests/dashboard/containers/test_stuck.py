"""A container whose processes hang in the kernel."""

from __future__ import annotations

import pytest

from dashboard.containers import services
from dashboard.grammar import ContainerOptions
from engine.errors import RuntimeFailed


@pytest.mark.fault("F56")
def test_one_that_does_not_end_is_said_to_be_stuck_until_it_ends(present, user, queue, engine, monkeypatch):
    present("ubuntu:14.04")
    running = services.create(user, ContainerOptions(image="ubuntu:14.04"))
    services.start(running, user)
    queue.run()

    def stuck(*_args):
        raise RuntimeFailed("The container abc does not end, although it was killed.")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "stop", stuck)
        job = services.stop(running, user, 1)
        queue.run()
    job.refresh_from_db()
    running.refresh_from_db()
    assert (job.state, running.state) == ("failed", "running")
    assert running.error == job.error == "The container abc does not end, although it was killed."
    engine.end(running.container_id, 137)
    running.refresh_from_db()
    assert (running.state, running.error) == ("exited", "")
