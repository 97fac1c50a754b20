from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from django.http import QueryDict
from django.utils import timezone

from dashboard.containers.forms import RunForm
from dashboard.containers.models import Container, VolumeUse
from dashboard.jobs.models import Job, JobState
from dashboard.transfers.models import Transfer
from dashboard.volumes import archive_views
from dashboard.volumes.models import Volume, VolumeState

BOOSTED = {"HX-Request": "true"}


@pytest.fixture
def stored(world, messages):
    data = Volume.objects.create(name="data", size_bytes=188_000_000, owner=world.person)
    spare = Volume.objects.create(name="spare")
    own = Volume.objects.create(name="ab" * 32, is_anonymous=True)
    VolumeUse.objects.create(container=world.running, volume=data, target="/data")
    return SimpleNamespace(data=data, spare=spare, own=own, world=world)


def test_volumes_are_listed_with_size_and_users(page, stored):
    body = page.get("/volumes/").content.decode()
    assert "188MB" in body
    assert f'href="/containers/{stored.world.running.container_id}/"' in body
    assert "abababababab</code>" in body
    assert body.count("Nobody") == 2


def test_the_sizes_are_measured_anew_by_the_way(page, stored):
    page.get("/volumes/")
    page.get("/volumes/")
    assert Job.objects.filter(kind="measure_volumes").count() == 1
    assert "measure_volumes" not in page.get("/activity/").content.decode()


@pytest.mark.parametrize(
    ("query", "shown", "hidden"), [("q=spa", "spare", "188MB"), ("state=unused", "spare", "188MB")]
)
def test_the_filter_is_the_address(page, stored, query, shown, hidden):
    body = page.get(f"/volumes/?{query}").content.decode()
    assert shown in body
    assert hidden not in body


def test_lists_that_are_empty_say_what_helps(page, stored):
    assert "No volume matches" in page.get("/volumes/?q=zzz").content.decode()
    VolumeUse.objects.all().delete()
    Volume.objects.all().delete()
    assert 'data-run="docker volume create data"' in page.get("/volumes/").content.decode()


def test_a_volume_is_made_by_name_or_without(page, stored):
    assert page.post("/volumes/create/", {"name": "fresh"}).status_code == 302
    assert Volume.objects.get(name="fresh").owner == stored.world.person
    answer = page.post("/volumes/create/", {"name": ""}, headers=BOOSTED)
    assert answer.status_code == 204
    assert Volume.objects.filter(is_anonymous=True).count() == 2


@pytest.mark.parametrize(("name", "status"), [("data", 409), ("../x", 400), ("x", 400), ("a b", 400), ("a" * 256, 400)])
def test_a_name_that_cannot_be_is_refused(page, stored, name, status):
    before = Volume.objects.count()
    assert page.post("/volumes/create/", {"name": name}, headers=BOOSTED).status_code == status
    assert Volume.objects.count() == before


def test_a_volume_that_nobody_named_has_a_short_name_wherever_it_is_spoken_of(page, stored, at_once):
    whole, short = stored.own.name, stored.own.name[:12]
    body = page.get("/volumes/").content.decode()
    assert f"Remove the volume {short}?" in body
    assert f'<code title="{whole}">{short}</code>' in body
    VolumeUse.objects.create(container=stored.world.running, volume=stored.own, target="/own")
    body = page.get(f"/containers/{stored.world.running.container_id}/").content.decode()
    assert f'<code title="{whole}">{short}</code>' in body
    VolumeUse.objects.all().delete()
    answer = page.post(f"/volumes/{whole}/remove/", headers=BOOSTED)
    assert f'"{short} is removed."' in answer["HX-Trigger"]
    assert whole not in page.get("/activity/").content.decode()


def test_the_form_is_empty_again_after_a_volume_is_made(page, stored):
    assert re.search(r'<form[^>]*action="/volumes/create/"[^>]* data-reset', page.get("/volumes/").content.decode())


@pytest.mark.parametrize(
    ("sizes", "said"), [((5000, 7000), "3 · 12kB "), ((None, None), "3<"), ((None, 7000), "(1 measured)")]
)
def test_the_system_page_counts_volumes_and_what_they_hold(page, stored, sizes, said):
    Volume.objects.update(size_bytes=None)
    for volume, size in zip((stored.spare, stored.own), sizes, strict=True):
        Volume.objects.filter(pk=volume.pk).update(size_bytes=size)
    body = page.get("/system/").content.decode()
    assert said in re.search(r"<dt>Volumes</dt><dd>.*?</dd>", body)[0]


def test_removal_names_what_goes_and_is_only_offered_where_nobody_is_in_the_way(page, stored):
    Volume.objects.filter(pk=stored.spare.pk).update(size_bytes=5000)
    body = page.get("/volumes/").content.decode()
    assert "Remove the volume spare?" in body
    assert "The 5kB of files in it go for good" in body
    assert "Remove the volume data?" not in body


def test_an_unused_volume_is_removed(page, stored, at_once):
    assert page.post("/volumes/spare/remove/", headers=BOOSTED).status_code == 204
    assert Job.objects.get(kind="remove_volume").params == {"volume": "spare", "key": "spare"}
    assert Volume.objects.get(name="spare").state == VolumeState.REMOVING


def test_a_volume_that_is_used_is_not_removed(page, stored, at_once):
    answer = page.post("/volumes/data/remove/", headers=BOOSTED)
    assert answer.status_code == 409
    assert "volume is in use" in answer.headers["HX-Trigger"]
    assert not Job.objects.filter(kind="remove_volume").exists()


def test_a_removal_that_fails_says_why(page, stored, at_once):
    at_once |= {"state": JobState.FAILED, "error": "The disk refuses."}
    answer = page.post("/volumes/spare/remove/", headers=BOOSTED)
    assert (answer.status_code, "The disk refuses." in answer.headers["HX-Trigger"]) == (409, True)


def form(**fields) -> RunForm:
    data = QueryDict(mutable=True)
    for key, value in {"image": "ubuntu:14.04", **fields}.items():
        data.setlist(key, value if isinstance(value, list) else [value])
    return RunForm(data)


def test_the_run_form_says_its_volumes_as_docker_would(page, stored):
    filled = form(
        volume_source=["data", "", ""],
        volume_target=["/data", "/own", ""],
        volume_mode=["ro", "rw", "rw"],
        storage="1g",
    )
    assert filled.is_valid(), filled.errors
    assert filled.options().volumes == ("data:/data:ro", "/own")
    answer = page.post("/containers/run/line/", dict(filled.data.lists()))
    assert "docker run -d --storage-opt size=1g -v data:/data:ro -v /own ubuntu:14.04" in answer.content.decode()


@pytest.mark.parametrize(
    ("source", "target", "mode", "said"),
    [
        ("data", "", "rw", "needs a place"),
        ("", "/x", "ro", "cannot be read only"),
        ("data", "x", "rw", "must be absolute"),
        ("a b", "/x", "rw", "invalid characters"),
        ("/srv", "/x", "rw", ""),
    ],
)
def test_a_row_that_cannot_be_is_said_at_the_form(source, target, mode, said):
    filled = form(volume_source=source, volume_target=target, volume_mode=mode)
    assert filled.is_valid() is (said == "")
    assert said in str(filled.non_field_errors())


def test_a_run_form_with_a_host_path_is_refused_and_makes_nothing(page, stored):
    before = Container.objects.count()
    data = {"image": "ubuntu:14.04", "volume_source": "/srv/x", "volume_target": "/x", "volume_mode": "rw"}
    answer = page.post("/containers/run/", data)
    assert answer.status_code == 422
    assert "policy does not allow the host path /srv/x" in answer.content.decode()
    assert Container.objects.count() == before


def test_the_containers_page_shows_what_is_mounted(page, stored):
    options = stored.world.running.options | {"volumes": ["data:/data:ro"], "tmpfs": ["/t"]}
    Container.objects.filter(pk=stored.world.running.pk).update(options=options)
    body = page.get(f"/containers/{stored.world.running.container_id}/").content.decode()
    assert 'href="/volumes/data/"' in body
    assert "read only" in body
    assert "-v data:/data:ro --tmpfs /t" in body


def test_a_volume_has_a_page(page, stored):
    body = page.get("/volumes/data/").content.decode()
    assert "188MB" in body
    assert "/volumes/data/_data" in body
    assert f'href="/containers/{stored.world.running.container_id}/"' in body
    assert "Download backup" in body
    assert "data-choose-file" not in body  # a container has it
    assert "remove these containers first" in body
    assert "data-choose-file" in page.get("/volumes/spare/").content.decode()
    assert page.get("/volumes/nope/").status_code == 404


def test_a_volume_may_be_called_like_an_address(page, stored):
    assert page.get("/volumes/create/").status_code == 404
    Volume.objects.create(name="create")
    assert "Restore from a file" in page.get("/volumes/create/").content.decode()


def test_while_it_is_worked_on_nothing_is_offered(page, stored):
    for state, shown in ((VolumeState.RESTORING, "Being restored"), (VolumeState.REMOVING, "Being removed")):
        Volume.objects.filter(pk=stored.spare.pk).update(state=state)
        body = page.get("/volumes/spare/").content.decode()
        assert shown in body
        assert "Download backup" not in body
        assert "hx-post" not in page.get("/volumes/?q=spare&part=rows").content.decode()


def shown_stage(answer) -> str:
    return answer.content.decode().partition('data-stage="')[2].partition('"')[0]


def test_a_backup_is_followed_from_the_wish_to_the_end(page, stored, settings, tmp_path):
    settings.BERTH_DATA = tmp_path
    answer = page.post("/volumes/data/backup/", headers=BOOSTED)
    assert shown_stage(answer) == "writing"
    transfer, job = Transfer.objects.get(), Job.objects.get()
    place = f"/volumes/data/transfers/{transfer.key}/"
    assert f'hx-get="{place}"' in answer.content.decode()
    Job.objects.filter(pk=job.pk).update(state=JobState.RUNNING, progress={"current": 12_000_000})
    assert "12MB" in page.get(place).content.decode()
    Job.objects.filter(pk=job.pk).update(state=JobState.SUCCEEDED, result={"left_out": 2, "changed": 1})
    body = page.get(place).content.decode()
    assert f'href="/transfers/{transfer.key}/" download' in body
    assert "2 devices or sockets were left out." in body
    assert "1 file became shorter" in body
    assert page.post(f"/transfers/{transfer.key}/cancel/", headers=BOOSTED).status_code == 204
    answer = page.get(place)
    assert shown_stage(answer) == "sent"
    assert "hx-get" not in answer.content.decode()


@pytest.mark.parametrize(
    ("state", "stage"),
    [(JobState.FAILED, "failed"), (JobState.CANCELLED, "cancelled"), (JobState.SUCCEEDED, "restored")],
)
def test_a_restore_is_followed_to_its_end(page, stored, state, stage, settings, tmp_path):
    settings.BERTH_DATA = tmp_path
    place = page.post("/volumes/spare/restore/").json()
    transfer = Transfer.objects.get()
    assert place["path"] == f"/ws/transfers/{transfer.key}"
    assert shown_stage(page.get(place["shown"])) == "arriving"
    assert page.post(place["start"]).status_code == 409
    Transfer.objects.update(size_bytes=10)
    assert page.post(place["start"]).status_code == 200
    assert page.post(place["start"]).status_code == 409
    assert shown_stage(page.get(place["shown"])) == "restoring"
    error = "The archive is refused: a name contains '..' (at 'x')." if state == JobState.FAILED else ""
    Job.objects.update(state=state, error=error, result={"entries": 3, "dropped": 1})
    Transfer.objects.update(ended_at=timezone.now())
    answer = page.get(place["shown"], headers={"Accept-Language": "ko"})
    assert shown_stage(answer) == stage
    assert ("아카이브를 거절했습니다" in answer.content.decode()) is (state == JobState.FAILED)
    assert "hx-get" not in answer.content.decode()


def test_a_second_click_takes_no_archive_from_the_first(page, stored, settings, tmp_path, monkeypatch):
    """Both have looked before either began: the file of hours of upload is the first one's to read."""
    settings.BERTH_DATA = tmp_path
    place = page.post("/volumes/spare/restore/").json()
    Transfer.objects.update(size_bytes=10)
    seen = Transfer.objects.select_related("job").get()
    assert page.post(place["start"]).status_code == 200
    monkeypatch.setattr(archive_views, "_own", lambda *_said: seen)
    assert page.post(place["start"]).status_code == 409
    assert Transfer.objects.get().ended_at is None
    assert Job.objects.get(kind="restore_volume").is_live


def test_a_restore_that_cannot_be_is_a_sentence(page, stored):
    answer = page.post("/volumes/data/restore/", headers={"Accept": "application/json"})
    assert answer.status_code == 409
    assert "restore data: volume is in use - [" in answer.json()["error"]
    assert not Transfer.objects.exists()


def test_anothers_archive_is_not_there(page, stored, django_user_model):
    stranger = django_user_model.objects.create_superuser("dohyun")
    made = Transfer.objects.create(
        key="a" * 32, direction="out", owner=stranger, permission="volume.backup", subject="data"
    )
    assert page.get(f"/volumes/data/transfers/{made.key}/").status_code == 404
    mine = Transfer.objects.create(
        key="b" * 32, direction="in", owner=stored.world.person, permission="volume.restore", subject="data"
    )
    assert page.get(f"/volumes/data/transfers/{mine.key}/").status_code == 200
    assert page.get(f"/volumes/spare/transfers/{mine.key}/").status_code == 404


def test_a_volume_that_is_removed_while_somebody_looks_at_it_says_so(page, stored):
    stored.spare.delete()
    answer = page.get("/volumes/spare/?part=head", headers={**BOOSTED, "Accept-Language": "ko"})
    assert answer.status_code == 200
    assert "이 볼륨은 삭제되었습니다." in answer.content.decode()
    assert page.get("/volumes/spare/").status_code == 404
