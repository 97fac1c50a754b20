"""What `ps --filter` chooses."""

from __future__ import annotations

import pytest

from dashboard.containers import services
from dashboard.grammar import ContainerOptions, requests


@pytest.mark.parametrize(
    ("value", "found"),
    [("^/other$", 1), ("^other$", 1), ("^oth", 1), ("her$", 1), ("th", 1), ("^her", 0), ("^oth$", 0), ("oth$", 0)],
)
def test_a_name_can_be_asked_for_from_its_beginning_to_its_end(present, user, value, found):
    present("ubuntu:14.04")
    row = services.create(user, ContainerOptions(image="ubuntu:14.04", name="other"))
    assert len(services.chosen_containers([row], requests.Ps(all=True, filters=(("name", value),)))) == found
