from __future__ import annotations

import asyncio
import os

import pytest

from dashboard.core import events, gate
from dashboard.core.consumers import GuardedConsumer
from dashboard.terminals import hub, protocol, pump, sessions
from dashboard.terminals.models import StreamSession
from engine.terminal import resize
from engine.terminal.boundary import Snapshot
from tests.dashboard.terminals.conftest import Viewer, change, say
from tests.engine.terminal.logs import START_NS
from tests.support.waiting import WAIT_S

pytestmark = pytest.mark.django_db(transaction=True)


async def test_output_is_streamed_as_it_comes(view, io):
    await asyncio.to_thread(say, io, b"hello\r\n")
    viewer = await view()
    await viewer.until_message("live")
    assert viewer.messages[0] == {
        "t": "hello", "container": viewer.messages[0]["container"], "tty": True, "write": False, "state": "running",
        "name": "calm_harbour", "image": "ubuntu:14.04", "exec": "", "title": "",
    }  # fmt: skip
    assert viewer.text == b"hello\r\n"
    say(io, b"more")
    await viewer.until_text(b"hello\r\nmore")


async def test_both_streams_of_a_pipe_keep_apart(view, io, container):
    await asyncio.to_thread(change, container, tty=False)
    say(io, b"out\n")
    say(io, b"err\n", stream=b"stderr")
    viewer = await view("from=start&kind=cli")
    await viewer.until(lambda v: v.streams[2] == b"err\n")
    assert viewer.streams[1] == b"out\n"


async def test_a_reconnect_loses_and_doubles_nothing(view, io):
    say(io, b"one\n")
    first = await view()
    await first.until_text(b"one\n")
    await first.leave()
    say(io, b"two\n")
    second = await view(f"from={first.position}")
    await second.until_message("live")
    assert second.text == b"two\n"


async def test_history_is_shown_at_the_widths_it_was_written_at(view, io):
    (io / "resizes").write_bytes(
        b"".join(
            resize.encode(resize.Resized(START_NS + at, resize.Size(rows, 80))) for at, rows in ((-9, 24), (5, 30))
        )
    )
    say(io, b"early\n")
    say(io, b"late\n", time_ns=START_NS + 10)
    viewer = await view()
    await viewer.until_message("live")
    sizes = [{"t": "resize", "rows": rows, "cols": 80} for rows in (24, 30)]
    assert viewer.everything[1:5] == [sizes[0], b"early\n", sizes[1], b"late\n"]


async def test_questions_to_the_terminal_are_not_replayed(view, io):
    say(io, b"a\x1b[c\x1b[6n\x1b]11;?\x07b")
    viewer = await view()
    await viewer.until_message("live")
    assert viewer.text == b"ab"
    say(io, b"\x1b[c")
    await viewer.until_text(b"ab\x1b[c")


async def test_exit_is_said_after_everything_was_printed(view, io, container):
    viewer = await view("kind=cli&from=start")
    await viewer.until_message("live")
    say(io, b"last words\n")
    await asyncio.to_thread(change, container, state="exited", exit_code=3)
    exited = await viewer.until_message("exit")
    assert viewer.everything[-2:] == [b"last words\n", exited]
    assert (exited["code"], exited["reason"]) == (3, "")
    assert await viewer.until_closed() == protocol.Close.NORMAL


async def test_an_event_makes_exit_known_at_once(view, io, container, monkeypatch):
    monkeypatch.setattr(hub, "LOOK_EVERY_S", 60.0)
    viewer = await view("kind=cli&from=start")
    await viewer.until_message("live")
    await asyncio.to_thread(change, container, state="exited", exit_code=0)
    await events.apublish(f"container.{container.container_id}", {"t": "container"})
    await viewer.until_message("exit")


async def test_a_container_killed_for_its_memory_says_so(view, io, container):
    await asyncio.to_thread(change, container, state="exited", exit_code=137, oom_killed=True)
    exited = await (await view()).until_message("exit")
    assert exited["code"] == 137
    assert "memory" in exited["reason"]


async def test_a_removed_container_ends_its_streams(view, io, container):
    viewer = await view()
    await viewer.until_message("live")
    await asyncio.to_thread(container.delete)
    exited = await viewer.until_message("exit")
    assert (exited["code"], exited["reason"]) == (137, "The container was removed.")


async def test_a_stream_opened_before_the_log_exists_waits_for_it(view, container, data):
    await asyncio.to_thread(change, container, state="starting")
    viewer = await view("kind=cli&from=start")
    await viewer.until_message("hello")
    assert await viewer.quiet()
    folder = data / "containers" / container.container_id / "io"
    folder.mkdir(parents=True)
    (folder / "ctr.log").touch()
    say(folder, b"first\n")
    await viewer.until_text(b"first\n")


# Logs


async def test_logs_show_the_last_lines_and_end(view, io):
    say(io, b"".join(b"line %d\n" % n for n in range(100)))
    viewer = await view("mode=logs&tail=3&follow=0")
    exited = await viewer.until_message("exit")
    assert viewer.text == b"line 97\nline 98\nline 99\n"
    assert exited["code"] == 0


@pytest.fixture
def busy(monkeypatch, io):
    """A program that prints a line after every look at where its log ends."""
    leave, printed = Snapshot.__exit__, []

    def leave_and_print(*arguments):
        leave(*arguments)
        printed.append(b"during %d\n" % len(printed))
        say(io, printed[-1])

    monkeypatch.setattr(Snapshot, "__exit__", leave_and_print)


async def test_the_last_line_is_the_last_that_was_there_then(view, io, busy):
    say(io, b"one\ntwo\n")
    viewer = await view("mode=logs&tail=1&follow=0&kind=cli")
    await viewer.until_message("exit")
    assert viewer.text == b"two\n"


async def test_logs_that_follow_go_on_after_the_last_line(view, io, busy):
    say(io, b"one\ntwo\n")
    viewer = await view("mode=logs&tail=1&follow=1&kind=cli")
    await viewer.until_text(b"during 0\n")
    assert viewer.text == b"two\nduring 0\n"


async def test_a_question_after_the_history_is_put_to_the_terminal(view, io, monkeypatch):
    leave = Snapshot.__exit__

    def leave_and_ask(*arguments):
        leave(*arguments)
        say(io, b"\x1b[6n")

    monkeypatch.setattr(Snapshot, "__exit__", leave_and_ask)
    say(io, b"a\x1b[6nb")
    viewer = await view()
    await viewer.until_text(b"ab\x1b[6n")


async def test_logs_follow_and_show_times(view, io):
    say(io, b"one\n")
    viewer = await view("mode=logs&follow=1&timestamps=1&kind=cli")
    await viewer.until_text(b"2026-09-21T14:13:20.123456789Z one\n")
    say(io, b"two\n")
    await viewer.until_text(b"Z two\n")


async def test_logs_of_zero_lines_start_at_the_end(view, io):
    say(io, b"old\n")
    viewer = await view("mode=logs&tail=0")
    await viewer.until_message("live")
    say(io, b"new\n")
    await viewer.until_text(b"new\n")
    assert viewer.text == b"new\n"


# Flow


@pytest.mark.threat("WS-07")
async def test_at_256_kib_without_an_ack_the_server_waits(view, io):
    say(io, b"x" * 7999 + b"\n", time_ns=START_NS)
    for _ in range(99):
        say(io, b"x" * 7999 + b"\n")
    viewer = await view("kind=cli&from=start", acks=False)
    await viewer.until_stuck(at_least=200 * 1024)
    assert viewer.consumed <= protocol.WINDOW_BYTES
    before = viewer.consumed
    await viewer.ack()
    await viewer.until_stuck(at_least=before + 200 * 1024)
    assert viewer.consumed <= before + protocol.WINDOW_BYTES
    viewer.acks = True
    await viewer.ack()
    await viewer.until(lambda v: v.consumed == 800_000)


@pytest.mark.threat("WS-07")
async def test_a_reader_that_says_nothing_for_a_minute_is_closed(view, io, monkeypatch):
    monkeypatch.setattr(pump, "NO_ACK_S", 0.3)
    for _ in range(100):
        say(io, b"x" * 7999 + b"\n")
    viewer = await view("kind=cli&from=start", acks=False)
    assert await viewer.until_closed() == protocol.Close.NO_ACK


@pytest.mark.threat("WS-07")
async def test_only_a_browser_skips_and_says_so(view, io, monkeypatch):
    monkeypatch.setattr(pump, "LAG_LIMIT_BYTES", 100_000)
    monkeypatch.setattr(pump, "SKIP_REPLAY_BYTES", 20_000)
    browser, cli = await view(acks=False), await view("kind=cli&from=start")
    await browser.until_message("live")
    expected = b"".join(b"line %d\r\n" % n for n in range(60_000))
    for start in range(0, len(expected), 200_000):
        say(io, expected[start : start + 200_000])
    await cli.until(lambda v: v.consumed == len(expected))
    assert cli.text == expected
    await browser.until_stuck(at_least=0)
    browser.acks = True
    await browser.ack()
    await browser.until_text(b"line 59999\r\n")
    (mark,) = [m for m in browser.messages if m["t"] == "skipped"]
    assert mark["bytes"] > 100_000
    shown = browser.everything[browser.everything.index(mark) + 1 :]
    assert expected.endswith(b"".join(part for part in shown if isinstance(part, bytes)))


async def test_a_slow_reader_does_not_slow_another(view, io):
    slow, quick = await view("kind=cli&from=start", acks=False), await view("kind=cli&from=start")
    await slow.until_message("live")
    for _ in range(100):
        say(io, b"y" * 7999 + b"\n")
    await quick.until(lambda v: v.consumed == 800_000)
    assert slow.consumed == 0


async def test_an_ack_of_more_than_was_sent_opens_no_window(view, io):
    viewer = await view("kind=cli&from=start", acks=False)
    await viewer.until_message("live")
    await viewer.say(t="ack", bytes=1 << 40)
    assert await viewer.quiet()
    for _ in range(100):
        say(io, b"x" * 7999 + b"\n")
    await viewer.until_stuck(at_least=200 * 1024)
    assert viewer.consumed <= protocol.WINDOW_BYTES


# Who may


@pytest.mark.threat("WS-02")
@pytest.mark.parametrize("query", ["", "mode=logs", "kind=cli&from=start&stdin=1"])
async def test_nobody_gets_in_without_signing_in(io, container, query):
    viewer = await Viewer(None, container.container_id, query).open()
    assert await viewer.until_closed() == 4401
    assert viewer.messages[-1] == {"t": "error", "message": "Sign in first."}
    assert viewer.text == b""


@pytest.mark.threat("WS-02")
def test_every_consumer_inherits_the_guard():
    from dashboard.terminals.routing import websocket_urlpatterns

    for pattern in websocket_urlpatterns:
        assert issubclass(pattern.callback.consumer_class, GuardedConsumer)


@pytest.mark.threat("WS-03")
async def test_what_one_may_not_see_answers_as_what_is_not_there(view, io, container):
    restore = gate.use_policy(lambda user, permission, obj: obj is None)
    try:
        denied = await view()
        unknown = await view(container_id="0" * 64)
        assert (await denied.until_closed(), await unknown.until_closed()) == (4404, 4404)
        assert denied.messages == unknown.messages
    finally:
        restore()


@pytest.mark.threat("WS-04")
async def test_signing_out_elsewhere_closes_the_stream(view, io, admin, monkeypatch):
    monkeypatch.setattr(GuardedConsumer, "recheck_s", 0.1)
    viewer = await view()
    await viewer.until_message("live")

    def change_password():
        admin.set_password("another-long-password-2")
        admin.save()

    await asyncio.to_thread(change_password)
    assert await viewer.until_closed() == 4401


@pytest.mark.threat("WS-04")
async def test_a_disabled_person_is_closed_out(view, io, admin, monkeypatch):
    monkeypatch.setattr(GuardedConsumer, "recheck_s", 0.1)
    viewer = await view()
    await viewer.until_message("live")
    admin.is_active = False
    await asyncio.to_thread(admin.save)
    assert await viewer.until_closed() == 4401


async def test_the_hosts_root_gets_in_by_its_secret_from_loopback_only(io, container, admin):
    import hashlib

    from dashboard.accounts.models import Token

    await asyncio.to_thread(
        Token.objects.create, purpose="host", sha256=hashlib.sha256(b"s3cret").hexdigest(), user=admin
    )
    headers = [(b"authorization", b"Bearer s3cret")]
    inside = await Viewer(None, container.container_id, "", headers=headers).open()
    await inside.until_message("live")
    await inside.leave()
    outside = Viewer(None, container.container_id, "", headers=headers)
    outside.socket.scope["client"] = ["192.0.2.7", 5]
    assert await (await outside.open()).until_closed() == 4401
    wrong = Viewer(None, container.container_id, "", headers=[(b"authorization", b"Bearer wrong")])
    assert await (await wrong.open()).until_closed() == 4401


async def test_streams_of_one_person_are_limited(view, io, monkeypatch):
    monkeypatch.setattr(sessions, "STREAMS_PER_USER", 2)
    first, second = await view(), await view()
    await first.until_message("live")
    await second.until_message("live")
    third = await view()
    assert await third.until_closed() == protocol.Close.TOO_MANY
    await first.leave()
    await (await view()).until_message("live")


# Bad input


@pytest.mark.threat("WS-06")
async def test_a_message_that_is_too_big_closes(view, io):
    viewer = await view("stdin=1")
    await viewer.until_message("live")
    await viewer.type(b"x" * (64 * 1024 + 1))
    assert await viewer.until_closed() == 4413


@pytest.mark.threat("WS-06")
@pytest.mark.parametrize(
    "text", ["x", "[]", "{}", '{"t":"fly"}', '{"t":"ack"}', '{"t":"ack","bytes":-1}', '{"t":"resize","rows":"x","cols":1}', "[" * 5000]
)  # fmt: skip
async def test_nonsense_closes_with_a_sentence(view, io, text):
    viewer = await view("stdin=1")
    await viewer.until_message("live")
    await viewer.socket.send_to(text_data=text)
    assert await viewer.until_closed() == protocol.Close.BAD_REQUEST
    assert viewer.messages[-1]["t"] == "error"


@pytest.mark.parametrize("query", ["mode=exec", "kind=robot", "from=here", "tail=-1", "rows=x", "detach_keys=ctrl-9"])
async def test_a_wrong_address_is_a_sentence(view, io, query):
    viewer = await view(query)
    assert await viewer.until_closed() == protocol.Close.BAD_REQUEST


# Rows


async def test_the_streams_row_follows_the_connection(view, io):
    viewer = await view("kind=cli&from=start")
    await viewer.until_message("live")
    row = await StreamSession.objects.aget()
    assert (row.kind, row.mode, row.ended_at, row.drained) == ("cli", "attach", None, False)
    await viewer.leave()
    row = await StreamSession.objects.aget()
    assert row.ended_at is not None
    assert row.drained


async def test_rm_waits_until_the_reader_has_everything(view, io, container):
    viewer = await view("kind=cli&from=start", acks=False)
    await viewer.until_message("live")
    say(io, b"the end\n")
    await asyncio.to_thread(change, container, state="exited", exit_code=0)
    await viewer.until_message("exit")
    assert await asyncio.to_thread(sessions.undrained(container).count) == 1
    await viewer.ack()
    assert await viewer.until_closed() == protocol.Close.NORMAL
    assert await asyncio.to_thread(sessions.undrained(container).count) == 0


async def test_an_announced_stream_is_waited_for_and_taken_over(view, io, container, admin):
    await asyncio.to_thread(sessions.announce, container, admin)
    assert await asyncio.to_thread(sessions.undrained(container).count) == 1
    viewer = await view("kind=cli&from=start")
    await viewer.until_message("live")
    assert await StreamSession.objects.acount() == 1
    await viewer.leave()
    assert await asyncio.to_thread(sessions.undrained(container).count) == 0


async def test_open_streams_write_one_heartbeat_for_all(view, io, monkeypatch):
    monkeypatch.setattr(hub, "HEARTBEAT_EVERY_S", 0.0)
    monkeypatch.setattr(hub, "LOOK_EVERY_S", 0.05)
    viewer = await view()
    await viewer.until_message("live")
    before = (await StreamSession.objects.aget()).heartbeat_at
    async with asyncio.timeout(WAIT_S):
        while (await StreamSession.objects.aget()).heartbeat_at <= before:
            await asyncio.sleep(0.05)


async def test_a_full_disk_is_said(view, io, container):
    viewer = await view()
    await viewer.until_message("live")
    await asyncio.to_thread(change, container, log_lost=True)
    notice = await viewer.until_message("notice")
    assert notice["kind"] == "log-lost"


@pytest.mark.slow
@pytest.mark.threat("RUN-17")
async def test_two_hundred_streams_leave_nothing_behind(view, io, container, admin, client_of):
    client = await asyncio.to_thread(client_of, admin)

    async def one_round():
        viewer = await Viewer(client, container.container_id, "stdin=1").open()
        await viewer.until_message("live")
        await viewer.leave()

    await one_round()
    before = (len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks()))
    for _ in range(200):
        await one_round()
    async with asyncio.timeout(WAIT_S):  # what ends after its reader has gone
        while len(os.listdir("/proc/self/fd")) > before[0] + 1 or len(asyncio.all_tasks()) > before[1] or hub._hubs:
            await asyncio.sleep(0.05)


async def test_a_start_that_fails_ends_the_stream_that_was_opened_meanwhile(view, io, container):
    await asyncio.to_thread(change, container, state="starting")
    (io / "ctr.log").unlink(missing_ok=True)
    viewer = await view("kind=cli&from=start")
    await viewer.until_message("hello")
    await asyncio.to_thread(change, container, state="created", exit_code=127, error="not found")
    exited = await viewer.until_message("exit")
    assert (exited["code"], exited["reason"]) == (127, "not found")


async def test_a_log_that_is_not_handed_over_yet_is_waited_for(view, io, container):
    await asyncio.to_thread(change, container, state="starting")
    (io / "ctr.log").unlink(missing_ok=True)
    viewer = await view("kind=cli&from=start")
    await viewer.until_message("hello")
    say(io, b"first\n")
    await viewer.until_text(b"first\n")
