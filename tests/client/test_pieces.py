"""Finding the server, the version line, bars."""

from __future__ import annotations

import pytest

from client.errors import Failed
from client.locate import locate, settings
from client.progress import Progress, bar
from client.version import version_line


def test_the_place_follows_the_servers_variables(tmp_path):
    place = locate(
        {"BERTH_DATA": str(tmp_path), "BERTH_LISTEN": "0.0.0.0:9000", "BERTH_PUBLIC_URL": "https://b.example/"}
    )
    assert place.address == "ws://127.0.0.1:9000"
    assert place.origin == "https://b.example"
    assert place.token_file.name == "admin-token"
    assert place.token_file.parent.name.startswith("berth-")
    assert locate({}).address == "ws://127.0.0.1:8000"
    assert locate({"BERTH_LISTEN": "[::]:80"}).address == "ws://[::1]:80"


def test_the_run_folder_is_the_one_of_the_engine(tmp_path):
    from engine.config import EngineConfig

    assert locate({"BERTH_DATA": str(tmp_path)}).token_file.parent == EngineConfig(data=tmp_path, uid=1, gid=1).run


def test_the_secret_is_never_sent_to_another_host():
    with pytest.raises(Failed, match="loopback"):
        locate({"BERTH_LISTEN": "192.0.2.7:8000"})


@pytest.mark.parametrize("listen", ["nowhere", "127.0.0.1:99999", "127.0.0.1:x", "127.0.0.1:0"])
def test_an_address_that_is_none_is_one_sentence(listen):
    with pytest.raises(Failed, match=f"BERTH_LISTEN must be address:port, .* not '{listen}'"):
        locate({"BERTH_LISTEN": listen})


def test_a_file_beside_the_code_fills_in(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("# comment\nexport A_SETTING='one two'\nB_SETTING=3 # three\nC_SETTING=file\n")
    monkeypatch.setenv("C_SETTING", "environment")
    values = settings(str(tmp_path))
    assert (values["A_SETTING"], values["B_SETTING"], values["C_SETTING"]) == ("one two", "3", "environment")


def test_the_version_line_knows_a_stamp_a_branch_and_packed_refs(tmp_path):
    (tmp_path / "VERSION").write_text("1.2.3\n")
    assert version_line(str(tmp_path)) == "Berth version 1.2.3, build unknown"
    git = tmp_path / ".git"
    git.mkdir()
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text("# pack-refs\n" + "a" * 40 + " refs/heads/main\n")
    assert version_line(str(tmp_path)) == "Berth version 1.2.3, build aaaaaaa"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "refs" / "heads" / "main").write_text("b" * 40 + "\n")
    assert version_line(str(tmp_path)) == "Berth version 1.2.3, build bbbbbbb"
    (tmp_path / "build-id").write_text("c" * 40)
    assert version_line(str(tmp_path)) == "Berth version 1.2.3, build ccccccc"


@pytest.mark.parametrize(
    ("current", "total", "columns", "text"),
    [
        (50, 100, 120, "[" + "=" * 25 + ">" + " " * 25 + "]      50B/100B"),
        (100, 100, 80, "[" + "=" * 20 + ">]     100B/100B"),
        (5, 100, 50, "      5B/100B"),
        (200, 100, 120, "    200B"),
        (0, 0, 120, ""),
    ],
)
def test_bars_fit_the_terminal(current, total, columns, text):
    assert bar(current, total, columns) == text


@pytest.mark.parametrize(
    ("status", "is_measured"), [("Waiting", False), ("Verifying", False), ("Downloading", True), ("Extracting", True)]
)
def test_only_what_is_measured_has_a_bar(status, is_measured):
    written: list[str] = []
    Progress(written.append, lambda: 120).show("0e7e7cdd3381", status, 10, 100)
    assert written[0].startswith(f"0e7e7cdd3381: {status}")
    assert ("[=" in written[0]) is is_measured
