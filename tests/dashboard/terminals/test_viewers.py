"""What a viewer is told beside the output: in their language, and who else watches."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from dashboard.accounts.models import Preferences
from dashboard.containers.models import LifeSpan
from dashboard.core.consumers import GuardedConsumer
from dashboard.terminals import hub, sessions
from dashboard.terminals.models import StreamSession
from tests.dashboard.terminals.conftest import change

pytestmark = pytest.mark.django_db(transaction=True)

KOREAN = (b"accept-language", b"ko-KR,ko;q=0.9")


def _with_language(*headers):
    return [(b"origin", settings.BERTH_ORIGINS[0].encode()), *headers]


async def test_a_page_is_spoken_to_in_its_readers_language(view, io, container):
    await asyncio.to_thread(change, container, state="exited", exit_code=137, oom_killed=True)
    viewer = await view(headers=_with_language(KOREAN))
    assert (await viewer.until_message("exit"))["reason"] == "메모리가 모자라 컨테이너가 강제로 종료되었습니다."
    cli = await view("kind=cli", headers=_with_language(KOREAN))
    assert "memory" in (await cli.until_message("exit"))["reason"], "a command line speaks English"


async def test_a_refusal_is_in_the_language_that_the_person_chose_and_fits_into_a_close_frame(view, io, admin):
    await Preferences.objects.acreate(user=admin, language="ko")
    viewer = await view(container_id="0" * 64)
    assert (await viewer.until_message("error"))["message"] == "이 주소에는 아무것도 없습니다."
    closed = GuardedConsumer()
    closed.language = "ko"
    assert len(closed._reason("Too many connections are open. Close some pages or streams first.").encode()) <= 123


async def test_viewers_are_told_who_else_watches(view, io, container, django_user_model, monkeypatch):
    monkeypatch.setattr(hub, "LOOK_EVERY_S", 0.05)
    mate = await asyncio.to_thread(django_user_model.objects.create_superuser, "mate")
    viewer, logs = await view(), await view("mode=logs")
    assert (await viewer.until_message("watching"))["names"] == ["admin"]
    other = await view(user=mate)
    await viewer.until(lambda v: v.messages[-1] == {"t": "watching", "names": ["admin", "mate"]})
    assert (await other.until_message("watching"))["names"] == ["admin", "mate"]
    await other.leave()
    await viewer.until(lambda v: v.messages[-1] == {"t": "watching", "names": ["admin"]})
    await logs.until_message("live")
    assert await logs.quiet()
    assert "watching" not in {message["t"] for message in logs.messages}


async def test_who_is_gone_without_a_word_watches_no_more(view, io, container, admin, django_user_model):
    mate = await asyncio.to_thread(django_user_model.objects.create_superuser, "mate")
    old = timezone.now() - timedelta(seconds=sessions.ALIVE_S + 1)
    for session in [await asyncio.to_thread(sessions.open_session, container, mate, kind="browser", mode="attach")]:
        await StreamSession.objects.filter(pk=session.pk).aupdate(heartbeat_at=old)
    assert (await (await view()).until_message("watching"))["names"] == ["admin"]


async def test_a_page_is_told_when_the_container_is_stopped_and_a_command_line_is_not(view, io, container, monkeypatch):
    monkeypatch.setattr(hub, "LOOK_EVERY_S", 0.05)
    viewer, cli = await view(), await view("kind=cli")
    await viewer.until_message("live")
    await cli.until_message("live")
    now = timezone.now()
    soon = {"began_at": now, "used_at": now, "warned_at": now, "warned_of": "expiry"}
    life = await LifeSpan.objects.acreate(container=container, ends_at=now + timedelta(minutes=10), **soon)
    assert (await viewer.until_message("life"))["cause"] == "expiry"
    assert await cli.quiet()
    await LifeSpan.objects.filter(pk=life.pk).aupdate(ends_at=None, warned_of="")
    await viewer.until(lambda v: v.messages[-1] == {"t": "life", "ends_at": "", "cause": ""})
    assert "life" not in {message["t"] for message in cli.messages}
