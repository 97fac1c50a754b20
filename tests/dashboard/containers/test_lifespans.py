"""Life spans: warned before, put off, stopped by the clock, and nothing brings it back but a person (ADR 31)."""

from __future__ import annotations

import os
import time
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from dashboard import gateway
from dashboard.audit.models import Entry
from dashboard.containers import figures, lifelimits, lifespans, lifeticks, restarts, restartticks, services, states
from dashboard.containers.models import Container, LifeRules, LifeSpan
from dashboard.core import gate
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission
from dashboard.grammar import ContainerOptions, parse, requests
from dashboard.grammar.listing import status
from dashboard.grammar.spans import read_span, write_span
from dashboard.history.models import Event
from dashboard.teams.models import Team, make_main
from dashboard.terminals import sessions

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


@pytest.fixture
def ubuntu(present):
    return present("ubuntu:14.04")


@pytest.fixture
def rules(user):
    return LifeRules.objects.create(team=make_main(Team.objects), warning_s=600, extension_s=1800, extensions=2)


@pytest.fixture
def told(monkeypatch):
    heard = []
    monkeypatch.setattr(lifespans, "tell", lambda pk, payload: heard.append((pk, payload)))
    return heard


@pytest.fixture
def taken(monkeypatch):
    """What the containers take of processors, by id."""
    percent: dict[str, float] = {}

    def newest():
        return {
            one: gateway.Figures(
                cpu_percent=cpu, memory_bytes=1, memory_limit_bytes=2, processes=1, read_bytes=0, written_bytes=0
            )
            for one, cpu in percent.items()
        }

    monkeypatch.setattr(figures, "newest", newest)
    return percent


@pytest.fixture
def run(ubuntu, rules, user, queue, engine, taken):
    def started(name="web", **options):
        row = services.create(user, ContainerOptions(image="ubuntu:14.04", name=name, **options))
        services.start(row, user)
        queue.run()
        row.refresh_from_db()
        assert row.state == "running"
        return row

    return started


def age(row, by: timedelta, *, used: bool = True) -> None:
    """As if all that is written about its run had been so much earlier."""
    columns = ["began_at", "warned_at", "ends_at", *(["used_at"] if used else [])]
    LifeSpan.objects.filter(container=row).update(**{name: F(name) - by for name in columns})


def life(row) -> LifeSpan:
    return LifeSpan.objects.get(container=row)


def set_rules(**rules) -> None:
    LifeRules.objects.update(**rules)


def test_nothing_ends_where_nobody_said_so(run, queue):
    row = run()
    age(row, timedelta(days=30))
    lifeticks.look()
    row.refresh_from_db()
    assert (row.state, life(row).warned_of) == ("running", "")
    assert lifelimits.shown(row) is None
    assert "LifeSpan" not in services.inspect(row)


def test_it_is_warned_then_stopped_and_says_why(run, queue, told, user, engine):
    set_rules(expiry_s=3600)
    row = run(restart="always")
    age(row, timedelta(minutes=49))
    lifeticks.look()
    assert life(row).warned_of == ""
    age(row, timedelta(minutes=2))
    lifeticks.look()
    lifeticks.look()
    warned = life(row)
    assert warned.warned_of == "expiry"
    assert warned.ends_at - timezone.now() == pytest.approx(timedelta(minutes=10), abs=timedelta(seconds=5))
    assert [(pk, what["t"], what["name"], what["cause"]) for pk, what in told] == [(user.pk, "life", "web", "expiry")]
    assert Event.objects.filter(action="life_warning").count() == 1
    line = services.container_line(services.find("web", user), None)
    assert status(line, timezone.now()).endswith("(stops in 9 minutes)")
    assert services.inspect(services.find("web", user))["LifeSpan"]["Warned"] is True
    key = sessions.key_of(row)
    assert sessions.facts_of([key])[key].ends_of == "expiry"
    age(row, timedelta(minutes=11))
    lifeticks.look()
    lifeticks.look()
    queue.run()
    row.refresh_from_db()
    assert (row.state, row.error) == ("exited", lifespans.EXPIRED)
    assert sum(call[0] == "stop" for call in engine.calls) == 1
    assert Entry.objects.filter(action="end-life-span", actor_id=None).count() == 1
    assert Event.objects.filter(action="expire").count() == 1
    assert row.restart_at is None
    assert life(row).is_over


def test_neither_its_policy_nor_a_start_of_berth_brings_it_back_but_a_person(run, queue, user, settings, tmp_path):
    set_rules(expiry_s=3600)
    row = run(restart="always")
    age(row, 2 * HOUR)
    lifeticks.look()
    age(row, HOUR)
    lifeticks.look()
    queue.run()
    settings.BERTH_RUN = tmp_path
    (tmp_path / "admin-token").write_text("x")
    restartticks.apply_after_start()
    restartticks.begin_due()
    queue.run()
    row.refresh_from_db()
    assert row.state == "exited"
    services.start(row, user)
    queue.run()
    row.refresh_from_db()
    assert (row.state, life(row).is_over) == ("running", False)
    assert timezone.now() - life(row).began_at < timedelta(minutes=1)


def test_nothing_is_stopped_unwarned_after_berth_was_down(run, queue):
    set_rules(expiry_s=3600)
    row = run()
    age(row, timedelta(hours=5))
    lifeticks.look()
    row.refresh_from_db()
    assert row.state == "running"
    assert life(row).ends_at > timezone.now() + timedelta(minutes=9)


def test_a_short_span_is_warned_in_its_second_half(run):
    row = run(expire_s=60)
    lifeticks.look()
    assert life(row).warned_of == ""
    age(row, timedelta(seconds=31))
    lifeticks.look()
    assert life(row).warned_of == "expiry"


def test_extending_puts_it_off_as_often_and_as_far_as_the_team_allows(run, user, queue):
    set_rules(expiry_s=3600)
    row = run()
    age(row, timedelta(minutes=55))
    lifeticks.look()
    lifespans.extend(row, user)
    lifeticks.look()
    now = life(row)
    assert (now.warned_of, now.prolonged_s, now.extensions) == ("", 1800, 1)
    with pytest.raises(DashboardError, match="at most 30m"):
        lifespans.extend(row, user, 1801)
    lifespans.extend(row, user, 60)
    with pytest.raises(DashboardError, match="extended 2 times"):
        lifespans.extend(row, user)
    assert life(row).prolonged_s == 1860
    assert Entry.objects.filter(action="extend-container").count() == 2
    shown = lifelimits.shown(services.find("web", user))
    assert shown.extensions_left == 0
    services.stop(row, user)
    queue.run()
    with pytest.raises(DashboardError, match="is not running"):
        lifespans.extend(row, user)


def test_there_is_nothing_to_extend_where_nothing_ends(run, user):
    with pytest.raises(DashboardError, match="nothing to extend"):
        lifespans.extend(run(), user)


def test_who_may_only_look_extends_nothing(run, user):
    set_rules(expiry_s=3600)
    row = run()
    restore = gate.use_policy(lambda person, permission, obj: permission is Permission.CONTAINER_VIEW)
    try:
        with pytest.raises(gate.Denied):
            lifespans.extend(row, user)
        with pytest.raises(gate.Denied):
            lifespans.keep(row, user, keeps=True)
    finally:
        restore()


def test_an_idle_one_is_warned_and_stopped_and_a_busy_one_is_not(run, queue, taken):
    set_rules(idle_s=1800)
    idle, busy = run("idle"), run("busy")
    taken[busy.container_id] = 50.0
    lifeticks.look()
    for minutes in (25, 6, 6):
        age(idle, timedelta(minutes=minutes))
        age(busy, timedelta(minutes=minutes))
        lifeticks.look()
    queue.run()
    idle.refresh_from_db()
    busy.refresh_from_db()
    assert (idle.state, idle.error) == ("exited", lifespans.UNUSED)
    assert (busy.state, life(busy).warned_of) == ("running", "")
    assert Event.objects.filter(action="idle_stop").count() == 1


def test_one_look_at_a_processor_at_work_is_no_use(run, taken):
    set_rules(idle_s=1800)
    row = run()
    age(row, timedelta(minutes=10))
    before = life(row).used_at
    taken[row.container_id] = 30.0
    lifeticks.look()
    taken[row.container_id] = 0.1
    lifeticks.look()
    taken[row.container_id] = 30.0
    lifeticks.look()
    assert life(row).used_at == before
    lifeticks.look()
    assert life(row).used_at > before


def test_output_a_viewer_and_a_new_command_are_uses(run, user, data):
    set_rules(idle_s=1800)
    rows = [run(name) for name in ("output", "viewer", "exec", "nothing")]
    for row in rows:
        age(row, timedelta(minutes=21))
        lifeticks.look()
        assert life(row).warned_of == "idle"
    io = gateway.engine_config().io(rows[0].container_id)
    io.mkdir(parents=True)
    (io / "ctr.log").write_text("x")
    os.utime(io / "ctr.log", (time.time() - 60, time.time() - 60))
    sessions.open_session(rows[1], user, kind="browser", mode="attach")
    rows[2].execs.create(exec_id="e" * 64, state="running")
    lifeticks.look()
    assert [life(row).warned_of for row in rows] == ["", "", "", "idle"]


def test_a_paused_one_is_not_unused(run, user, queue):
    set_rules(idle_s=1800)
    row = run()
    services.pause(row, user)
    queue.run()
    age(row, timedelta(hours=3))
    lifeticks.look()
    assert life(row).warned_of == ""
    assert timezone.now() - life(row).used_at < timedelta(minutes=1)


def test_saying_that_it_is_used_costs_no_extension(run, user):
    set_rules(idle_s=1800)
    row = run()
    age(row, timedelta(minutes=21))
    lifeticks.look()
    assert lifespans.extend(row, user).extensions == 0
    lifeticks.look()
    assert life(row).warned_of == ""


def test_one_that_is_kept_is_not_stopped_for_being_unused(run, user):
    set_rules(idle_s=1800)
    row, said = run(), run("said", keep=True)
    lifespans.keep(row, user, keeps=True)
    lifespans.keep(row, user, keeps=True)
    for one in (row, said):
        age(one, timedelta(hours=5))
    lifeticks.look()
    assert {life(one).warned_of for one in (row, said)} == {""}
    assert Entry.objects.filter(action="keep-container").count() == 1
    row.refresh_from_db()
    lifespans.keep(row, user, keeps=False)
    age(row, timedelta(minutes=21))
    lifeticks.look()
    assert life(row).warned_of == "idle"


def test_shorter_is_anybodys_to_say_and_longer_nobodys(run, user, ubuntu):
    set_rules(expiry_s=3600, idle_s=1800)
    row = run(expire_s=600, idle_stop_s=60)
    assert lifelimits.limits_of(row.options, LifeRules.objects.get()) == (600, 60)
    for wrong in ({"expire_s": 3601}, {"idle_stop_s": 1801}, {"expire_s": 0}):
        with pytest.raises(DashboardError, match="cannot be"):
            services.create(user, ContainerOptions(image="ubuntu:14.04", **wrong))
    set_rules(expiry_s=300)
    assert lifelimits.limits_of(row.options, LifeRules.objects.get())[0] == 300


def test_to_except_one_at_its_making_needs_the_right(user, ubuntu, rules):
    restore = gate.use_policy(lambda person, permission, obj: permission is not Permission.CONTAINER_KEEP)
    try:
        with pytest.raises(gate.Denied):
            services.create(user, ContainerOptions(image="ubuntu:14.04", keep=True))
    finally:
        restore()


def test_a_start_by_policy_goes_on_with_the_span(run, queue, engine):
    set_rules(expiry_s=3600)
    row = run(restart="always")
    age(row, timedelta(minutes=30))
    began = life(row).began_at
    engine.end(row.container_id, 1)
    Container.objects.filter(pk=row.pk).update(restart_at=timezone.now())
    restartticks.begin_due()
    queue.run()
    row.refresh_from_db()
    assert (row.state, row.restart_count) == ("running", 1)
    assert life(row).began_at == began
    assert restarts.TICK


def test_a_rule_that_is_taken_away_calms(run):
    set_rules(expiry_s=3600)
    row = run()
    age(row, timedelta(minutes=55))
    lifeticks.look()
    set_rules(expiry_s=None)
    lifeticks.look()
    assert (life(row).warned_of, life(row).ends_at) == ("", None)


def test_a_clock_that_is_set_moves_the_span_along(run):
    set_rules(expiry_s=3600)
    row = run()
    before = life(row)
    age(row, timedelta(days=2))  # as after a jump of two days
    lifeticks.move_along(timedelta(days=2))
    assert life(row).began_at == pytest.approx(before.began_at, abs=timedelta(seconds=5))
    assert life(row).used_at == pytest.approx(before.used_at, abs=timedelta(seconds=5))


def test_a_stop_whose_job_was_lost_is_asked_for_again(run, queue):
    set_rules(expiry_s=3600)
    row = run()
    age(row, 2 * HOUR)
    lifeticks.look()
    age(row, HOUR)
    lifeticks.look()
    queue.waiting.clear()
    row.refresh_from_db()
    assert row.state == "stopping"
    states.change(row, among=["stopping"], to="running")  # as the reconciler does where the job is gone
    lifeticks.look()
    assert life(row).warned_of == "expiry"


def test_one_that_was_started_before_begins_its_span_now(run):
    set_rules(expiry_s=3600)
    row = run()
    LifeSpan.objects.all().delete()
    lifeticks.look()
    assert timezone.now() - life(row).began_at < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("8h", 28_800), ("1d12h", 129_600), ("45s", 45), ("0", 0)]
)
def test_spans_are_read_and_written(text, seconds):
    assert read_span(text) == seconds
    assert read_span(write_span(seconds)) == seconds


def test_flags_of_run_are_read_and_said_again():
    request = parse(["run", "--expire", "2h", "--idle-stop", "30m", "--keep", "ubuntu:14.04"])
    assert isinstance(request, requests.Run)
    assert (request.options.expire_s, request.options.idle_stop_s, request.options.keep) == (7200, 1800, True)
    from dashboard.grammar import to_line

    assert parse(to_line(request.options).split()[1:]).options == request.options
