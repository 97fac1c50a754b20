"""Settings, all from environment variables or a `.env` beside the code. The README lists them with their defaults."""

# variable             default                        meaning
# BERTH_DATA           /var/lib/berth                 data folder: images, layers, containers, database
# BERTH_LISTEN         127.0.0.1:8000                 address and port of the pages
# BERTH_PUBLIC_URL     http://<BERTH_LISTEN>          the address that browsers use (https:// behind a proxy)
# DATABASE_URL         sqlite in the data folder      postgres://user:password@host:port/name, or sqlite:///path
# REDIS_URL            started by script/server       unix:///path, redis:// or rediss://; then none is started
# BERTH_MIRRORS        (none)                         docker.io=http://127.0.0.1:5000,ghcr.io=https://…
# BERTH_PLAIN_HTTP     (none)                         registries that may be spoken to in plain HTTP: host:port,…
# BERTH_USER           berth                          the unprivileged user of everything but the engine
# BERTH_SUBNET         from the data folder's path    IPv4 network of containers, /8 to /29
# BERTH_NETWORK_POOL   10.200.0.0/13                  `network create` takes a /24 of it that nothing has; private addresses
# BERTH_ID_BASE        1879048192                     users of containers are ids of the host from here on
# BERTH_ID_RANGES      4096                           so many ranges of 65,536 ids; each container has one
# BERTH_PUBLISH_ADDRESS 127.0.0.1                     where `-p 8080:80` publishes; 0.0.0.0 as Docker does
# BERTH_RUNC           /usr/sbin/runc                 other builds of the three
# BERTH_CONMON         /usr/bin/conmon
# BERTH_AARDVARK       /usr/lib/podman/aardvark-dns
# BERTH_POLICY         /etc/berth/engine.toml         what the host forbids, root's alone to write (docs/security.md)
# BERTH_DEFAULT_MEMORY 2g                             limits of a container that names none
# BERTH_DEFAULT_CPUS   2
# BERTH_DEFAULT_PIDS   512
# BERTH_DEFAULT_STORAGE (none)                        size of a new container's writable layer
# BERTH_LOG_SIZE       16m                            a container's log is rotated at this size …
# BERTH_LOG_FILES      3                              … and this many are kept
# BERTH_RESERVE        512m                           free space that pulls leave alone
# BERTH_LAYER_SIZE     64g                            a layer may unpack to at most this
# BERTH_LAYER_FILES    2000000                        and have at most so many entries
# BERTH_ARCHIVE_SIZE   256g                           a volume's backup holds at most this, either way
# BERTH_ARCHIVE_FILES  10000000                       and at most so many entries
# BERTH_PULL_PARALLEL  3                              layers that are fetched at the same time
# BERTH_TRASH_HOURS    24                             what is removed can be brought back so long, where a team says nothing; 0: never
# BERTH_PROXIES        0                              proxies in front whose X-Forwarded-For is believed
# BERTH_OIDC_URL       (none)                         an OpenID Connect provider that people sign in by, https://…
# BERTH_OIDC_CLIENT    berth                          what Berth is called there
# BERTH_OIDC_SECRET_FILE (none)                       a file with its secret; readable for root or the user of Berth only
# BERTH_OIDC_NAME      Single sign-on                 the words on the button
# BERTH_OIDC_GROUPS    groups                         the claim that names a person's groups
# BERTH_LOG_LEVEL      INFO

from __future__ import annotations

import hashlib
import ipaddress
import os
import pwd
import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from dotenv import load_dotenv

from dashboard.core import oidc

BASE_DIR = Path(__file__).resolve().parent.parent
load_dotenv(BASE_DIR / ".env")
TESTING = bool(os.environ.get("BERTH_TESTING"))
PORT_MAX = 65_535

BERTH_DATA = Path(os.environ.get("BERTH_DATA", "/var/lib/berth"))
BERTH_LISTEN = os.environ.get("BERTH_LISTEN") or "127.0.0.1:8000"


def _listen(text: str) -> tuple[str, int]:
    """Host and port; all addresses for `:8000` and `*:8000`."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) <= PORT_MAX:
        msg = f"BERTH_LISTEN must be address:port, for example 127.0.0.1:8000, not '{text}'."
        raise ImproperlyConfigured(msg)
    return {"": "0.0.0.0", "*": "0.0.0.0"}.get(host, host.strip("[]")), int(port)


def _address(name: str, text: str) -> SplitResult:
    """An address in its parts, with a port that can be. The sentence does not repeat it: it may hold a password."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        msg = f"{name} cannot be read: it must be scheme://host:port…, with a port of 0 to {PORT_MAX}."
        raise ImproperlyConfigured(msg) from error
    return parts


BERTH_HOST, BERTH_PORT = _listen(BERTH_LISTEN)
_reachable = re.sub(r"^(0\.0\.0\.0|\[::\]|\*)?:", "127.0.0.1:", BERTH_LISTEN)  # nobody can open "all addresses"
BERTH_PUBLIC_URL = os.environ.get("BERTH_PUBLIC_URL", "").rstrip("/") or f"http://{_reachable}"
BERTH_USER = os.environ.get("BERTH_USER", "berth")
_tag = hashlib.sha256(str(BERTH_DATA.resolve()).encode()).hexdigest()[:8]
BERTH_RUN = Path("/run") / f"berth-{_tag}"


def _pairs(text: str) -> dict[str, str]:
    items = (item.partition("=") for item in text.split(",") if item.strip())
    return {name.strip(): value.strip().rstrip("/") for name, _, value in items}


BERTH_MIRRORS = _pairs(os.environ.get("BERTH_MIRRORS", ""))
BERTH_PLAIN_HTTP = frozenset(x.strip() for x in os.environ.get("BERTH_PLAIN_HTTP", "").split(",") if x.strip())


def _user_ids(name: str) -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return os.getuid(), os.getgid()
    return entry.pw_uid, entry.pw_gid


BERTH_UID, BERTH_GID = _user_ids(BERTH_USER)


def _network(name: str, example: str, smallest: int) -> str | None:
    text = os.environ.get(name, "").strip()
    try:
        fits = not text or 8 <= ipaddress.IPv4Network(text).prefixlen <= smallest
    except ValueError:
        fits = False
    if not fits:
        msg = f"{name} must be an IPv4 network of /8 to /{smallest} such as {example}, not '{text}'."
        raise ImproperlyConfigured(msg)
    return text or None


BERTH_SUBNET = _network("BERTH_SUBNET", "10.120.0.0/20", 29)
BERTH_NETWORK_POOL = _network("BERTH_NETWORK_POOL", "10.200.0.0/13", 24) or "10.200.0.0/13"


def _ipv4(name: str, default: str) -> str:
    text = os.environ.get(name, "").strip() or default
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        msg = f"{name} must be an IPv4 address such as 127.0.0.1 or 0.0.0.0, not '{text}'."
        raise ImproperlyConfigured(msg) from None


# Members of a team are not the host's administrator: the shortest `-p` opens nothing to the network that the
# administrator did not decide on. Whoever names an address gets that address.
BERTH_PUBLISH_ADDRESS = _ipv4("BERTH_PUBLISH_ADDRESS", "127.0.0.1")
BERTH_RUNC = Path(os.environ.get("BERTH_RUNC") or "/usr/sbin/runc")
BERTH_CONMON = Path(os.environ.get("BERTH_CONMON") or "/usr/bin/conmon")
BERTH_AARDVARK = Path(os.environ.get("BERTH_AARDVARK") or "/usr/lib/podman/aardvark-dns")
BERTH_POLICY = Path(os.environ.get("BERTH_POLICY") or "/etc/berth/engine.toml")


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "").strip()
    if text and not text.isdecimal():
        msg = f"{name} must be a whole number, not '{text}'."
        raise ImproperlyConfigured(msg)
    return int(text or default)


def _size(name: str, default: str) -> int:
    """Bytes from `512m`, `2g`, or a plain number of bytes."""
    text = os.environ.get(name, "").strip().lower() or default
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([bkmgt]?)b?", text)
    if found is None:
        msg = f"{name} must be a size such as 512m or 2g, not '{text}'."
        raise ImproperlyConfigured(msg)
    return int(float(found[1]) * 1024 ** "bkmgt".index(found[2] or "b"))


def _nano_cpus(name: str, default: str) -> int:
    text = os.environ.get(name, "").strip() or default
    if re.fullmatch(r"\d+(\.\d+)?", text) is None or not float(text):
        msg = f"{name} must be a number of processors such as 1.5, not '{text}'."
        raise ImproperlyConfigured(msg)
    return int(float(text) * 1_000_000_000)


BERTH_ID_BASE = _number("BERTH_ID_BASE", 0x7000_0000)
BERTH_ID_RANGES = _number("BERTH_ID_RANGES", 4096)
if BERTH_ID_BASE < 65_536 or BERTH_ID_RANGES < 2 or BERTH_ID_BASE + BERTH_ID_RANGES * 65_536 > 2**32 - 1:
    msg = "BERTH_ID_BASE must be 65536 or more, BERTH_ID_RANGES 2 or more, and all ids must lie below 4294967295."
    raise ImproperlyConfigured(msg)
BERTH_PULL_PARALLEL = _number("BERTH_PULL_PARALLEL", 3)
BERTH_TRASH_HOURS = _number("BERTH_TRASH_HOURS", 24)
BERTH_LIMITS = {
    "memory_bytes": _size("BERTH_DEFAULT_MEMORY", "2g"),
    "nano_cpus": _nano_cpus("BERTH_DEFAULT_CPUS", "2"),
    "pids": _number("BERTH_DEFAULT_PIDS", 512),
    "log_segment_bytes": _size("BERTH_LOG_SIZE", "16m"),
    "log_segments": _number("BERTH_LOG_FILES", 3),
    "reserve_bytes": _size("BERTH_RESERVE", "512m"),
    "layer_bytes": _size("BERTH_LAYER_SIZE", "64g"),
    "layer_entries": _number("BERTH_LAYER_FILES", 2_000_000),
    "archive_bytes": _size("BERTH_ARCHIVE_SIZE", "256g"),
    "archive_entries": _number("BERTH_ARCHIVE_FILES", 10_000_000),
    "writable_bytes": _size("BERTH_DEFAULT_STORAGE", "0"),
}

VERSION = (BASE_DIR / "VERSION").read_text().strip()
_build_file = BASE_DIR / "build-id"
BUILD = _build_file.read_text().strip()[:7] if _build_file.is_file() else "unknown"


def _secret_key() -> str:
    """Made once by `script/server` (0640 in the data folder). Unit tests, which have none, get a constant."""
    path = BERTH_DATA / "secret-key"
    if path.is_file():
        return path.read_text().strip()
    if TESTING:
        return "only-for-tests-" + "x" * 50
    return ""


SECRET_KEY = _secret_key()
DEBUG = False
_public = _address("BERTH_PUBLIC_URL", BERTH_PUBLIC_URL)
if _public.scheme not in {"http", "https"} or not _public.hostname:
    _wrong = f"BERTH_PUBLIC_URL must begin with http:// or https:// and name a host, not be '{BERTH_PUBLIC_URL}'."
    raise ImproperlyConfigured(_wrong)
ALLOWED_HOSTS = sorted({_public.hostname or "localhost", "127.0.0.1", "localhost"})
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"]
IS_HTTPS = _public.scheme == "https"


def _origins() -> list[str]:
    """Exact origins (scheme, host, port) that may open a WebSocket (WS-01)."""
    origins = {f"{_public.scheme}://{_public.netloc}"}
    if not IS_HTTPS and _public.hostname in {"127.0.0.1", "localhost"}:
        port = f":{_public.port}" if _public.port not in {None, 80} else ""
        origins |= {f"http://{host}{port}" for host in ("127.0.0.1", "localhost")}
    if not os.environ.get("BERTH_PUBLIC_URL"):
        origins.add(f"http://{BERTH_LISTEN}")  # what the command line says when nothing else is set
    return sorted(origins)


BERTH_ORIGINS = _origins()
if not IS_HTTPS:
    CSRF_TRUSTED_ORIGINS = BERTH_ORIGINS

BERTH_OIDC_URL = os.environ.get("BERTH_OIDC_URL", "").strip().rstrip("/")
BERTH_OIDC_NAME = os.environ.get("BERTH_OIDC_NAME", "").strip() or "Single sign-on"
BERTH_OIDC_GROUPS = os.environ.get("BERTH_OIDC_GROUPS", "").strip() or "groups"
HAS_OIDC = (
    bool(BERTH_OIDC_URL) or os.environ.get("BERTH_TESTING") == "unit"
)  # else its libraries cost every process memory


SOCIALACCOUNT_PROVIDERS = oidc.provider(os.environ, BERTH_OIDC_URL, BERTH_OIDC_NAME)
SOCIALACCOUNT_ADAPTER = "dashboard.accounts.directory.Adapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False  # an address that somebody says is theirs opens no account
SOCIALACCOUNT_STORE_TOKENS = False
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    *(["allauth.socialaccount", "allauth.socialaccount.providers.openid_connect"] if HAS_OIDC else []),
    "dashboard.core",
    "dashboard.audit",
    "dashboard.history",
    "dashboard.jobs",
    "dashboard.accounts",
    "dashboard.teams",
    "dashboard.registries",
    "dashboard.catalog",
    "dashboard.imagepolicy",
    "dashboard.quotas",
    "dashboard.runpolicy",
    "dashboard.transfers",
    "dashboard.volumes",
    "dashboard.networks",
    "dashboard.containers",
    "dashboard.terminals",
    "dashboard.live",
    "dashboard.checkup",
    "dashboard.commandline",
    "dashboard.pages",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "dashboard.accounts.middleware.LanguageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "dashboard.accounts.signins.SeenMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "dashboard.audit.middleware.ArrivalMiddleware",
    "dashboard.core.middleware.GateAsked",
    "dashboard.core.middleware.ErrorSentences",
]
ROOT_URLCONF = "dashboard.urls"
ASGI_APPLICATION = "dashboard.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "dashboard" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "dashboard.pages.context.frame",
            ]
        },
    }
]


def _postgres(url: str) -> dict[str, object]:
    """`postgres://user:password@host:port/name`, or with `?host=/folder/of/socket`."""
    parts = _address("DATABASE_URL", url)
    options = {"connect_timeout": "10"} | {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": options,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def _database() -> dict[str, object]:
    url = os.environ.get("DATABASE_URL", "")
    if url.startswith(("postgres://", "postgresql://")):
        return _postgres(url)
    if url and not url.startswith("sqlite:///"):
        msg = "DATABASE_URL must begin with postgres:// or sqlite:///."
        raise ImproperlyConfigured(msg)
    # A power cut must not lose a commit: FULL. Tests have no power cuts, and a file each, as threads share no memory one.
    synchronous = "OFF" if TESTING else "FULL"
    scratch = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"  # noqa: S108 - a test's own file, by process id
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": url.removeprefix("sqlite:///") if url else str(BERTH_DATA / "db" / "berth.sqlite3"),
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": f"PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous};",
        },
        # To open the file anew costs a millisecond, for each of the ten looks of one command. Requests close theirs at
        # their end (`core.apps`), as each has a thread of its own.
        "CONN_MAX_AGE": 60,
        "TEST": {"NAME": os.environ.get("BERTH_TEST_DATABASE") or f"{scratch}/berth-test-{os.getpid()}.sqlite3"},
    }


DATABASES = {"default": _database()}

REDIS_URL = os.environ.get("REDIS_URL") or f"unix://{BERTH_RUN}/redis/redis.sock"
OWN_REDIS = not os.environ.get("REDIS_URL")


def _redis_spellings(url: str) -> tuple[str, str]:
    """(Celery's, redis-py's) spelling of one Redis address. For a unix socket Celery wants another scheme and the number
    of the database under another name.
    """
    if url.startswith("unix://"):
        return "redis+socket://" + url.removeprefix("unix://").replace("?db=", "?virtual_host="), url
    if not url.startswith(("redis://", "rediss://")):
        msg = "REDIS_URL must begin with unix://, redis:// or rediss://."
        raise ImproperlyConfigured(msg)
    _address("REDIS_URL", url)
    return url, url


CELERY_BROKER_URL, _redis_url = _redis_spellings(REDIS_URL)
if os.environ.get("BERTH_TESTING") == "unit":
    CHANNEL_LAYERS: dict[str, dict[str, Any]] = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    CACHES: dict[str, dict[str, Any]] = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
else:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [_redis_url], "prefix": f"berth-{_tag}"},
        }
    }
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": _redis_url,
            "KEY_PREFIX": f"berth-{_tag}",
            "OPTIONS": {"serializer": "dashboard.core.cached.JsonValues"},  # never pickle
        }
    }

AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
PASSWORD_MIN_LENGTH = 10
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": PASSWORD_MIN_LENGTH},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_ADAPTER = "dashboard.accounts.adapter.ClosedSignup"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = None
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "10/m/ip,5/300s/key",
    "change_password": "5/m/user",
    "factor": "10/m/user",
    "join": "120/m/ip",
}
MFA_ADAPTER = "dashboard.accounts.factors.Adapter"
MFA_FORMS = {
    "authenticate_webauthn": "dashboard.accounts.factorforms.ShowPasskey",
    "login_webauthn": "dashboard.accounts.factorforms.EnterByPasskey",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_REAUTHENTICATION_REQUIRED = False  # our pages ask for the password with each change
MFA_TOTP_TOLERANCE = 1  # a clock that is half a minute off
# Browsers make passkeys for names, and on encrypted connections or the machine itself only.
PASSKEYS_POSSIBLE = IS_HTTPS or urlsplit(BERTH_PUBLIC_URL).hostname == "localhost"
ALLAUTH_TRUSTED_PROXY_COUNT = _number("BERTH_PROXIES", 0)
SESSION_ENGINE = "dashboard.accounts.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_NAME = "__Host-berth-session" if IS_HTTPS else f"berth-session-{_tag}"
CSRF_FAILURE_VIEW = "dashboard.pages.views.csrf_failure"
CSRF_COOKIE_NAME = "__Host-berth-csrf" if IS_HTTPS else f"berth-csrf-{_tag}"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_HTTPS else None
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if IS_HTTPS else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "style-src": ["'self'", "'unsafe-inline'"],  # xterm.js writes style attributes and elements
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'", "data:"],
        "connect-src": ["'self'", *[o.replace("http", "ws", 1) for o in _origins()]],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'", *oidc.origins(BERTH_OIDC_URL)],  # browsers hold redirects after a form to it, too
        "object-src": ["'none'"],
    }
}
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ko", "한국어")]
LOCALE_PATHS = [BASE_DIR / "dashboard" / "locale"]
LANGUAGE_COOKIE_NAME = "berth-language"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static-root"
STATICFILES_DIRS = [BASE_DIR / "frontend" / "dist"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {name: {"level": "WARNING"} for name in ("celery.worker.strategy", "celery.app.trace", "daphne.server")},
    "root": {"handlers": ["console"], "level": os.environ.get("BERTH_LOG_LEVEL", "INFO")},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # sub-domains of the host are not ours to bind
    "security.W008",  # TLS and its redirect are the proxy's; Daphne listens on loopback
    "security.W021",  # nor is the browsers' preload list
]
