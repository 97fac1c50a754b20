from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from dashboard.core.shown import shown_mirrors, without_password


def test_addresses_lose_their_passwords_and_nothing_else():
    assert without_password("https://haeun:s3cret@mirror.lan:5000/v2") == "https://***@mirror.lan:5000/v2"
    assert without_password("https://haeun:s3@cret@mirror.lan") == "https://***@mirror.lan"
    assert without_password("http://127.0.0.1:5000") == "http://127.0.0.1:5000"


@pytest.mark.threat("WEB-10")
@pytest.mark.django_db
def test_the_system_page_shows_no_password_of_a_mirror(client, settings):
    settings.BERTH_MIRRORS = {"docker.io": "https://haeun:s3cret@mirror.lan"}
    client.force_login(
        User.objects.create_superuser("admin", password=None), backend="django.contrib.auth.backends.ModelBackend"
    )
    body = client.get("/system/").content.decode()
    assert "mirror.lan" in body
    assert "s3cret" not in body
    assert shown_mirrors() == {"docker.io": "https://***@mirror.lan"}
