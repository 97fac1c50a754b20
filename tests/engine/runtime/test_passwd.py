from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ImageUnfit, UserUnknown
from engine.runtime.passwd import ID_MAXIMUM, ResolvedUser, choose_user, resolve_user
from engine.runtime.rootfiles import opened_root
from tests.support.examples import examples

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
broken line
neg:x:-1:0::/:
big:x:4294967296:0::/:
empty:x:::/:/
7:x:1234:5::/seven:/bin/sh
app:x:1000:100:App:/home/app:/bin/sh
evil:x:1001:100::/home\x1b[31m:/bin/sh
relative:x:1002:100::home:/bin/sh
"""
GROUP = "root:x:0:\nstaff:x:50:app,other\nwheel:x:10:other\ndocker:x:999:app\nhuge:x:99999999999:app\n50:x:77:\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ResolvedUser(0, 0, (0,), "/root", "root")),
        ("0", ResolvedUser(0, 0, (0,), "/root", "root")),
        ("app", ResolvedUser(1000, 100, (100, 50, 999), "/home/app", "app")),
        ("1000", ResolvedUser(1000, 100, (100, 50, 999), "/home/app", "app")),
        ("app:staff", ResolvedUser(1000, 50, (50,), "/home/app", "app")),
        ("app:50", ResolvedUser(1000, 50, (50,), "/home/app", "app")),
        ("4000", ResolvedUser(4000, 0, (0,), "/", "")),
        ("4000:4001", ResolvedUser(4000, 4001, (4001,), "/", "")),
        (":staff", ResolvedUser(0, 50, (50,), "/root", "root")),
        ("7", ResolvedUser(7, 0, (0,), "/", "")),
        ("evil", ResolvedUser(1001, 100, (100,), "/", "evil")),
        ("relative", ResolvedUser(1002, 100, (100,), "/", "relative")),
        (str(ID_MAXIMUM), ResolvedUser(ID_MAXIMUM, 0, (0,), "/", "")),
    ],
)
def test_users_mean_what_they_mean_to_docker(text, expected):
    assert choose_user(text, passwd=PASSWD, group=GROUP) == expected


@pytest.mark.threat("RUN-14")
@pytest.mark.parametrize(
    "text",
    [
        "nobody",
        "app:none",
        "-1",
        "0:-1",
        "4294967296",
        "2147483648",
        "app:staff:extra",
        "app:",
        "neg",
        "big",
        "a\nb",
        "1:99999999999",
    ],
)
def test_unknown_users_and_numbers_out_of_range_are_refused(text):
    with pytest.raises(UserUnknown):
        choose_user(text, passwd=PASSWD, group=GROUP)


def test_the_sentence_for_an_unknown_user_is_dockers():
    with pytest.raises(UserUnknown, match=r"^unable to find user nobody: no matching entries in passwd file$"):
        choose_user("nobody", passwd=PASSWD, group=GROUP)


@settings(max_examples=examples(150))
@given(st.text(max_size=40), st.text(max_size=300), st.text(max_size=200))
def test_any_text_gives_a_user_in_range_or_a_refusal(text, passwd, group):
    try:
        user = choose_user(text, passwd=passwd, group=group)
    except UserUnknown:
        return
    assert 0 <= user.uid <= ID_MAXIMUM
    assert all(0 <= number <= ID_MAXIMUM for number in (user.gid, *user.groups))
    assert user.home.startswith("/")
    assert user.gid in user.groups


@pytest.fixture
def root(tmp_path):
    (tmp_path / "etc").mkdir()
    with opened_root(tmp_path) as fd:
        yield tmp_path, fd


@pytest.mark.threat("RUN-14")
@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["fifo", "folder", "zero", "host-link", "missing"])
def test_a_passwd_that_is_no_file_counts_as_empty_and_never_hangs(root, kind):
    path, fd = root
    passwd = path / "etc" / "passwd"
    if kind == "fifo":
        os.mkfifo(passwd)
    elif kind == "folder":
        passwd.mkdir()
    elif kind == "zero":
        passwd.symlink_to("/dev/zero")
    elif kind == "host-link":
        passwd.symlink_to("../../../../../../etc/passwd")
    assert resolve_user(fd, "0") == ResolvedUser(0, 0, (0,), "/", "")
    with pytest.raises(UserUnknown):
        resolve_user(fd, "daemon")


@pytest.mark.threat("RUN-14")
def test_a_passwd_behind_a_link_in_the_image_is_found(root):
    path, fd = root
    (path / "usr").mkdir()
    (path / "usr" / "accounts").write_text("app:x:5:6::/a:\n")
    (path / "etc" / "passwd").symlink_to("/usr/accounts")
    assert resolve_user(fd, "app").uid == 5


@pytest.mark.threat("RUN-14")
def test_a_passwd_with_an_endless_line_is_refused(root):
    path, fd = root
    (path / "etc" / "passwd").write_text("x" * (1024 * 1024 + 1))
    with pytest.raises(ImageUnfit, match="larger than 1 MiB"):
        resolve_user(fd, "app")
