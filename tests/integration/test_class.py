"""The story of a teacher who sets a class of thirty up, and of a student who tries to get around each limit; all of it for real."""

from __future__ import annotations

import re
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.integration.conftest import make_berth
from tests.support.somebody import Somebody
from tests.support.terminal import Person
from tests.support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.services, pytest.mark.timeout(400)]
PASSWORD = "a quiet harbour 7"
STUDENTS = 30


def join(berth, link: str, name: str) -> tuple[int, str]:
    """By the link's page, as a new person; the status, and a token that the person makes on their own page."""
    with httpx.Client(base_url=berth.url, trust_env=False, timeout=60) as client:
        page = client.get(link)
        if page.status_code != 200:
            return page.status_code, ""
        said = {"csrfmiddlewaretoken": _csrf(page.text), "username": name, "password1": PASSWORD, "password2": PASSWORD}
        answer = client.post(link, data=said, headers={"Origin": berth.url})
        if answer.status_code != 302:
            return answer.status_code, ""
        mine = client.get("/me/")
        said = {"csrfmiddlewaretoken": _csrf(mine.text), "name": "laptop", "days": "30", "rights": "all"}
        made = client.post("/me/tokens/", data=said, headers={"Origin": berth.url})
        return answer.status_code, re.search(r'id="new-token"[^>]*>(berth_[\w-]{43})<', made.text)[1]


def _csrf(page: str) -> str:
    return re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]


@pytest.fixture(scope="module")
def school(registry, tmp_path_factory):
    """A Berth with another team's container, a class, and its teacher, who administers the class and nothing else."""
    with make_berth(registry) as berth:
        berth.ok("pull", "-q", "ubuntu:14.04")
        berth.ok("pull", "-q", "centos:7")
        berth.foreign = berth.start_long("--name", "secret", "ubuntu:14.04", "sleep", "1000")
        berth.ok("team", "create", "class-1", "--name", "Python, Monday")
        berth.ok("user", "create", "teacher")
        berth.ok("team", "add", "--team", "class-1", "--role", "admin", "teacher")
        berth.ok("quota", "set", "--team", "class-1", "--memory", "2g", "--cpus", "8")
        berth.ok("quota", "set", "--everybody", "--containers", "3", "--memory", "150m")
        token = berth.ok("token", "create", "--user", "teacher", "desk").strip()
        berth.teacher = Somebody(berth, token, tmp_path_factory.mktemp("teacher"))
        yield berth


@pytest.fixture(scope="module")
def students(school, tmp_path_factory):
    """Thirty come in at once by one link; there are thirty-five."""
    teacher = school.teacher
    teacher.ok("policy", "images", "listed")
    teacher.ok("policy", "allow", "ubuntu:14.04")
    link = teacher.ok("team", "invite", "--uses", str(STUDENTS), "--days", "7").strip()
    names = [f"student-{number:02}" for number in range(STUDENTS + 5)]
    with ThreadPoolExecutor(8) as pool:
        came = dict(zip(names, pool.map(lambda name: join(school, link, name), names), strict=True))
    in_class = {name: token for name, (_status, token) in came.items() if token}
    assert len(in_class) == STUDENTS
    assert {status for status, token in came.values() if not token} == {404}
    assert teacher.ok("team", "members").count("operator") == STUDENTS
    home = tmp_path_factory.mktemp("students")
    return {name: Somebody(school, token, home) for name, token in in_class.items()}


def test_a_class_is_set_up_and_works_within_its_limits(school, students):
    teacher, (one, two, *_rest) = school.teacher, students.values()
    words = ("run", "-d", "-m", "64m", "--cpus", "0.2", "ubuntu:14.04", "sleep", "1000")
    mine = one.ok(*words).strip()
    one.ok(*words)
    one.refused(r"The quota of student-\d\d is used up \(Memory of running containers\): 128m of 150m", *words)
    two.ok(*words)
    assert len(two.ok("ps", "-q").split()) == 3  # a class sees what it runs
    one.ok("rm", "-f", *one.ok("ps", "-aq", "--filter", "status=created").split())
    # one image more, by a request
    one.refused("does not list centos:7.*berth policy ask", "run", "--rm", "centos:7", "true")
    number = one.ok("policy", "ask", "--reason", "to compare shells", "centos:7").strip()
    assert "to compare shells" in teacher.ok("policy", "requests")
    teacher.ok("policy", "approve", number, "--days", "7", "--say", "until Monday")
    assert "until Monday" in one.ok("policy", "requests")
    assert one.ok("run", "--rm", "-m", "16m", "--cpus", "0.1", "centos:7", "echo", "hello") == "hello\n"
    # somebody leaves: their terminal closes
    person_words = [*one.words, "exec", "-it", mine, "sh"]
    with Person(person_words, one.environment) as person:
        person.expect(r"[#$] ")
        name = next(name for name, somebody in students.items() if somebody is one)
        teacher.ok("team", "remove", name)
        person.type("echo still-here\n")
        until("the terminal has closed", lambda: person._process.poll() is not None or not person._read(0), within_s=15)
    one.refused("You are in no team yet|No such container", "exec", mine, "true")


def test_a_student_gets_around_nothing(school, students):
    student = list(students.values())[5]
    (name,) = (one for one, somebody in students.items() if somebody is student)
    box = ("-m", "16m", "--cpus", "0.1", "ubuntu:14.04", "true")
    around = [
        # the host
        ("does not allow privileged containers", "run", "--privileged", *box),
        ("does not let containers into its own pid namespace", "run", "--pid", "host", *box),
        ("does not let containers into its own network", "run", "--network", "host", *box),
        ("does not allow containers without a user namespace", "run", "--userns", "host", *box),
        ("does not give /dev/kmsg", "run", "--device", "/dev/kmsg", *box),
        ("without a filter of system calls", "run", "--security-opt", "seccomp=unconfined", *box),
        ("is never given to a container", "run", "-v", "/:/host", *box),
        ("published by administrators only", "run", "-p", "80:80", *box),
        ("beyond the container", "run", "--cap-add", "SYS_ADMIN", *box),
        # images
        ("does not list nginx", "pull", "nginx"),
        ("may not do this", "policy", "images", "any"),
        ("may not do this", "policy", "allow", "*"),
        ("may not do this", "policy", "approve", "1"),
        ("may not do this", "policy", "set", "--privileged"),
        # limits
        ("may not do this", "quota", "set", "--team", "class-1", "--user", name, "--memory", "8g"),
        ("may not do this", "quota", "unset", "--everybody"),
        ("is used up", "run", "-m", "200m", "--cpus", "0.1", "ubuntu:14.04", "true"),
        # rights
        ("may not do this", "team", "add", "--team", "class-1", "--role", "admin", name),
        ("may not do this", "team", "role", "mine", "--allow", "team.manage"),
        ("may not do this", "team", "invite", "--role", "admin"),
        ("may not do this", "team", "import", "accomplice"),
        ("may not do this", "user", "reset", "teacher"),
        ("may not do this|access token", "token", "create", "--user", "teacher", "mine"),
        ("may not do this|access token", "token", "create", "more"),
        # other teams
        ("No such team", "--team", "main", "ps"),
        ("No such object", "inspect", school.foreign),
        ("No such container", "exec", school.foreign, "id"),
        ("No such container", "rm", "-f", "secret"),
        ("No such team|may not do this", "team", "use", "all"),
    ]
    for sentence, *words in around:
        student.refused(sentence, *words)
    assert school.state(school.foreign)["Running"] is True
    assert student.ok("ps", "-aq", "--filter", "status=running").count("\n") == student.ok("ps", "-q").count("\n")
    # who has no token, or half of one
    for token in ("berth_" + secrets.token_urlsafe(32), student.environment["BERTH_TOKEN"][:-1], ""):
        stranger = Somebody(school, token or "x", "/nonexistent")
        stranger.refused("Sign in first|refused", "ps")
    # the audit log has what was refused, for the teacher of the class
    with school.browser() as site:
        page = site.get(f"/audit/?person={name}&outcome=refused").text
    assert page.count("<tr>") > 10
    assert "privileged containers (--privileged)" in page


def test_guessing_at_once_is_slowed_down(school):
    """A hundred wrong passwords from one address: most are not even tried (WEB-06)."""
    statuses = []
    lock = threading.Lock()

    def guess(number: int) -> None:
        with httpx.Client(base_url=school.url, trust_env=False, timeout=60) as client:
            page = client.get("/accounts/login/")
            if page.status_code == 200:
                said = {"csrfmiddlewaretoken": _csrf(page.text), "login": "teacher", "password": f"guess {number}"}
                status = client.post("/accounts/login/", data=said, headers={"Origin": school.url}).status_code
                with lock:
                    statuses.append(status)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(guess, range(100)))
    assert statuses.count(429) > 50, statuses
