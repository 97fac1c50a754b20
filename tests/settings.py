"""Settings of the tests. pytest-django reads settings before any conftest, so what they depend on is set here."""

from __future__ import annotations

import os

os.environ.setdefault("BERTH_TESTING", "unit")
os.environ.setdefault("BERTH_TRASH_HOURS", "0")  # tests of the trash ask for it
os.environ.setdefault("DATABASE_URL", "sqlite:////tmp/berth-unit-tests.sqlite3")

from dashboard.settings import *  # noqa: F403

# Argon2 as in the product, but at its smallest cost: hundreds of tests make a person.
PASSWORD_HASHERS = ["tests.support.hashers.CheapArgon2"]

# The test client makes a chain of middleware for each client, and WhiteNoise would list all static files for each chain.
WHITENOISE_AUTOREFRESH = True
