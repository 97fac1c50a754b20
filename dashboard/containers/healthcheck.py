"""What is to be asked of a container to know that it is well: of `run`'s flags, else of the image. Pure.

The image's wish is a stranger's: what is not of Docker's shape counts as no wish, and no probe comes more often than once
a second. Source: Docker reference, HEALTHCHECK, and OCI image config as Docker extends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dashboard.grammar import ContainerOptions

SHELL = ("/bin/sh", "-c")
LEAST_INTERVAL_MS = 1000
_INTERVAL_MS = _TIMEOUT_MS = 30_000
_RETRIES = 3
_NS = 1_000_000
_MOST_MS = 7 * 24 * 3600 * 1000
_WORDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """`test` as Docker writes it, CMD or CMD-SHELL first; `command` are the words that are run."""

    test: tuple[str, ...]
    command: tuple[str, ...]
    interval_ms: int
    timeout_ms: int
    start_period_ms: int
    retries: int

    def shape(self) -> dict[str, Any]:
        """`Config.Healthcheck` of `inspect`."""
        found = {"Test": list(self.test), "Interval": self.interval_ms * _NS, "Timeout": self.timeout_ms * _NS}
        return found | {"StartPeriod": self.start_period_ms * _NS, "Retries": self.retries}


def check_of(image_config: dict[str, Any], options: ContainerOptions) -> HealthCheck | None:
    """None: nothing is asked."""
    wishes = image_config.get("config")
    wishes = wishes if isinstance(wishes, dict) else {}
    said = wishes.get("Healthcheck")
    said = said if isinstance(said, dict) else {}
    test = ("CMD-SHELL", options.health_cmd) if options.health_cmd else _texts(said.get("Test"))
    command = _command(test, _texts(wishes.get("Shell")) or SHELL)
    if options.no_healthcheck or not command:
        return None
    return HealthCheck(
        test=test,
        command=command,
        interval_ms=max(LEAST_INTERVAL_MS, options.health_interval_ms or _ms(said.get("Interval")) or _INTERVAL_MS),
        timeout_ms=options.health_timeout_ms or _ms(said.get("Timeout")) or _TIMEOUT_MS,
        start_period_ms=options.health_start_period_ms or _ms(said.get("StartPeriod")),
        retries=options.health_retries or _count(said.get("Retries")) or _RETRIES,
    )


def _command(test: tuple[str, ...], shell: tuple[str, ...]) -> tuple[str, ...]:
    kind, words = test[:1], test[1:]
    if kind == ("CMD",) and words and words[0]:
        return words
    return (*shell, words[0]) if kind == ("CMD-SHELL",) and len(words) == 1 else ()


def _texts(value: object) -> tuple[str, ...]:
    fits = isinstance(value, list) and len(value) <= _WORDS and all(isinstance(word, str) for word in value)
    return tuple(value) if fits and isinstance(value, list) else ()


def _count(value: object) -> int:
    return min(value, 1000) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _ms(value: object) -> int:
    """Nanoseconds of the image, as milliseconds; 0 for none."""
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        return 0
    return min(max(value // _NS, 1), _MOST_MS)
