"""The limits of a container that are in force. There always are all three (RUN-13), so there is one reading of "none"."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard import gateway
from dashboard.grammar import ContainerOptions
from dashboard.jobs.host import host_info


@dataclass(frozen=True, slots=True)
class Limit:
    value: int
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsInForce:
    memory_bytes: Limit
    nano_cpus: Limit
    pids: Limit


def asked(value: int | None) -> int | None:
    """What the engine is asked for: None, the server's default, for what was not said, 0, and Docker's -1 of no limit."""
    return value if value is not None and value > 0 else None


def limits_in_force(options: ContainerOptions) -> LimitsInForce:
    """As the next start sets them. The engine knows how far the host and its policy lower the settings' defaults."""
    said, info = gateway.engine_config().limits, host_info()

    def limit(value: int | None, name: str) -> Limit:
        default = info.get(f"default_{name}")
        chosen = asked(value)
        return Limit(chosen or (default if isinstance(default, int) else getattr(said, name)), chosen is None)

    return LimitsInForce(
        memory_bytes=limit(options.memory_bytes, "memory_bytes"),
        nano_cpus=limit(options.nano_cpus, "nano_cpus"),
        pids=limit(options.pids_limit, "pids"),
    )
