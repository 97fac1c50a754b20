from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from dashboard.accounts.models import Preferences
from tests.dashboard.people import make_member

pytestmark = pytest.mark.django_db
PASSWORD = "a quiet harbour 7"


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()


@pytest.fixture
def person():
    return make_member("haeun", password=PASSWORD)


def sign_in(client, name="haeun", password=PASSWORD, path="/accounts/login/"):
    return client.post(path, {"login": name, "password": password})


def test_signing_in_leads_home_and_out_again_nowhere(client, person):
    answer = sign_in(client)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get("/").status_code == 200
    client.post("/accounts/logout/")
    assert client.get("/")["Location"] == "/accounts/login/?next=/"


@pytest.mark.threat("WEB-06")
def test_a_wrong_password_and_an_unknown_name_are_told_the_same(client, person):
    wrong = sign_in(client, password="not this one at all")
    unknown = sign_in(client, name="nobody-here", password="not this one at all")
    assert wrong.status_code == unknown.status_code == 200
    errors = [answer.context["form"].non_field_errors() for answer in (wrong, unknown)]
    assert errors[0] == errors[1]
    assert errors[0]


@pytest.mark.threat("WEB-06")
def test_guessing_is_slowed_down(client, person):
    statuses = [sign_in(client, password=f"guess number {number}").status_code for number in range(40)]
    assert 429 in statuses
    answer = sign_in(client, password="once more")
    assert answer.status_code == 429
    assert "Too many attempts" in answer.content.decode()


@pytest.mark.threat("WEB-06")
def test_a_made_up_forwarded_address_resets_no_limit(client, person):
    statuses = [
        client.post(
            "/accounts/login/", {"login": "haeun", "password": "no"}, headers={"x-forwarded-for": f"10.0.0.{number}"}
        ).status_code
        for number in range(40)
    ]
    assert 429 in statuses


@pytest.mark.threat("WEB-08")
@pytest.mark.parametrize(
    "place", ["//evil.org", "https://evil.org", "/\\evil.org", "http:///evil.org", "javascript:alert(1)", "\thttps://evil.org", "https:evil.org"]
)  # fmt: skip
def test_signing_in_leads_nowhere_else(client, person, place):
    answer = client.post("/accounts/login/", {"login": "haeun", "password": PASSWORD, "next": place})
    assert answer["Location"] == "/"


@pytest.mark.threat("WEB-07")
def test_signing_in_changes_the_session(client, person):
    client.get("/accounts/login/")
    before = client.session.session_key
    sign_in(client)
    assert client.session.session_key != before


@pytest.fixture
def strict():
    return Client(enforce_csrf_checks=True)


def _token(client, path="/accounts/login/") -> str:
    return str(client.get(path).context["csrf_token"])


@pytest.mark.threat("WEB-03")
def test_a_second_tab_of_the_sign_in_page_leads_home_once_somebody_is_in(strict, person):
    words = {"login": "haeun", "password": PASSWORD, "csrfmiddlewaretoken": _token(strict)}
    assert strict.post("/accounts/login/", words)["Location"] == "/"
    answer = strict.post("/accounts/login/", words)
    assert (answer.status_code, answer["Location"]) == (302, "/")


@pytest.mark.threat("WEB-03")
def test_a_form_without_its_token_is_answered_with_a_page_of_ours(strict, person):
    for language, sentence in (("en", "This page was too old. Load it again."), ("ko", "오래된 페이지입니다")):
        answer = strict.post("/accounts/login/", {"login": "haeun"}, headers={"accept-language": language})
        assert answer.status_code == 403
        assert sentence in answer.content.decode()
        assert "ask an administrator" not in answer.content.decode()
    strict.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    answer = strict.post("/me/", {"language": "ko"}, headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()) == (403, {"error": "This page was too old. Load it again."})
    assert not Preferences.objects.exists()


@pytest.mark.parametrize("path", ["/accounts/signup/", "/accounts/password/reset/", "/accounts/email/", "/admin/"])
def test_what_berth_does_not_offer_has_no_address(client, person, path):
    sign_in(client)
    assert client.get(path).status_code == 404


def test_an_account_that_was_closed_gets_in_no_more(client, person):
    sign_in(client)
    User.objects.update(is_active=False)
    assert client.get("/").status_code == 302
    answer = sign_in(client)
    assert answer.status_code == 403
    assert "This account is closed" in answer.content.decode()


def test_pages_speak_the_browser_s_language_or_the_person_s(client, person):
    korean = client.get("/accounts/login/", headers={"accept-language": "ko-KR,ko;q=0.9"})
    assert korean["Content-Language"] == "ko"
    assert client.get("/accounts/login/", headers={"accept-language": "xx"})["Content-Language"] == "en"
    sign_in(client)
    Preferences.objects.create(user=person, language="ko")
    assert client.get("/", headers={"accept-language": "en"})["Content-Language"] == "ko"


def test_preferences_are_one_s_own_and_checked(client, person):
    other = User.objects.create_user("minsu", password=None)
    sign_in(client)
    assert client.post("/me/", {"language": "ko", "theme": "dark", "user": other.pk}).status_code == 302
    assert list(Preferences.objects.values_list("user_id", "language", "theme")) == [(person.pk, "ko", "dark")]
    assert client.post("/me/", {"language": "xx", "theme": "dark"}).status_code == 422
    assert client.post("/me/", {"language": "", "theme": "<script>"}).status_code == 422
    answer = client.post("/me/", {"language": "en", "theme": ""}, headers={"hx-request": "true"})
    assert answer["HX-Redirect"] == "/me/"


def change_password(client, old=PASSWORD, new="another harbour 8", again=None):
    data = {"old_password": old, "new_password1": new, "new_password2": again or new}
    return client.post("/accounts/password/change/", data)


@pytest.mark.threat("WEB-07")
def test_a_new_password_ends_every_other_session(client, person):
    elsewhere = Client()
    sign_in(elsewhere)
    sign_in(client)
    assert 'href="/accounts/password/change/"' in client.get("/me/").content.decode()
    assert change_password(client)["Location"] == "/me/"
    assert client.get("/").status_code == 200
    assert elsewhere.get("/")["Location"].startswith("/accounts/login/")
    client.logout()
    assert sign_in(client).status_code == 200
    assert sign_in(client, password="another harbour 8").status_code == 302


def test_a_password_changes_only_for_who_knows_the_old_one_and_to_a_good_one(client, person):
    sign_in(client)
    assert change_password(client, old="not this one").status_code == 422
    assert change_password(client, new="short").status_code == 422
    assert change_password(client, again="something else 9").status_code == 422
    person.refresh_from_db()
    assert person.check_password(PASSWORD)
    korean = client.get("/accounts/password/change/", headers={"accept-language": "ko"}).content.decode()
    assert "비밀번호 바꾸기" in korean


@pytest.mark.threat("WEB-06")
def test_guessing_the_old_password_of_an_open_session_is_slowed_down(client, person):
    sign_in(client)
    assert 429 in [change_password(client, old=f"guess {number}").status_code for number in range(8)]


@pytest.mark.threat("WEB-15")
def test_answers_carry_the_headers_that_protect_them(client):
    answer = client.get("/accounts/login/")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy or "unsafe" not in policy.partition("script-src")[2].partition(";")[0]
    assert (answer["X-Frame-Options"], answer["X-Content-Type-Options"], answer["Referrer-Policy"]) == (
        "DENY",
        "nosniff",
        "same-origin",
    )
