"""The clock of a Berth's host is set, far ahead and far back, while people work with it."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime

import pytest

from tests.integration.conftest import make_berth
from tests.support import set_clock
from tests.support.checked import assert_sound
from tests.support.server import ROOT
from tests.support.terminal import Person

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(300), pytest.mark.fault("F42")]
IMAGE = "ubuntu:14.04"
BERTH = str(ROOT / "script" / "berth")
HOUR_S = 3600


def until_year(year: int) -> int:
    return int(datetime(year, 1, 2, tzinfo=UTC).timestamp() - time.time())


@pytest.mark.long  # 45 s; each part of it has tests that run always
def test_everything_goes_on_whatever_the_hosts_clock_is_set_to(registry, tmp_path):
    for place in (tmp_path, *tmp_path.parents[:2]):
        place.chmod(0o755)
    clock = tmp_path / "clock"
    clock.write_text("0")
    clock.chmod(0o644)
    settings = {"LD_PRELOAD": str(set_clock.build(tmp_path)), set_clock.CLOCK: str(clock)}
    with make_berth(registry, settings=settings) as berth:
        berth.ok("pull", "-q", IMAGE)
        container = berth.start_long("-it", IMAGE)
        again = berth.start_long("--restart", "always", IMAGE, "sleep", "1000")
        with Person([BERTH, "attach", container], berth.environment) as person, berth.browser() as early:
            person.expect(r"root@.*# ")
            for number, ahead_s in enumerate((HOUR_S, -HOUR_S, until_year(1971), until_year(2100), 0)):
                clock.write_text(str(ahead_s))
                os.kill(berth.init_pid(again), signal.SIGKILL)
                person.type(f"echo here-$(({number}+50))\n")
                person.expect(f"\nhere-{number + 50}\n", 60)
                assert berth.ok("run", "--rm", IMAGE, "echo", "starts") == "starts\n"
                berth.wait_state(again, "running")
                if ahead_s > HOUR_S:
                    with berth.browser() as late:
                        assert late.get("/containers/").status_code == 200
                        late_cookies = dict(late.cookies)
            early.cookies.update(late_cookies)
            assert early.get("/containers/").status_code == 302
        assert "the host's clock was set" in (berth.data / "logs" / "engine.log").read_text()
        berth.remove_all()
        berth.assert_clean()
        assert_sound(berth)
