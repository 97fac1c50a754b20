"""What a container may do beyond and below the default: capabilities, privileges, the filter of system calls. Pure.

A host's policy says what may be had (`Policy.capabilities`, `seccomp_unconfined`); here a wish beyond it gets its
sentence, and `check_spec` looks again at what came out of it (RUN-07, RUN-08).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from engine.errors import RequestRefused
from engine.runtime import confinement

if TYPE_CHECKING:
    from engine.runtime.policy import Policy

ALL = "ALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsRequest:
    """Names of capabilities as the kernel has them, or ALL. `unconfined`: without the filter of system calls.

    Raises:
        RequestRefused: a name that no kernel has.
    """

    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    no_new_privileges: bool = False
    unconfined: bool = False

    def __post_init__(self) -> None:
        for name in (*self.cap_add, *self.cap_drop):
            if name != ALL and name not in confinement.KNOWN_CAPABILITIES:
                msg = f'unknown capability: "{name[:40]}"'
                raise RequestRefused(msg)

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:  # Any: JSON, checked by the constructor
        """From what `dataclasses.asdict` made of one."""
        lists = {key: tuple(map(str, fields.pop(key))) for key in ("cap_add", "cap_drop")}
        return cls(cap_add=lists["cap_add"], cap_drop=lists["cap_drop"], **fields)


def capabilities(rights: RightsRequest, policy: Policy) -> tuple[str, ...]:
    """The default ones without those dropped, then those added, which win over a drop, as with Docker.

    Raises:
        RequestRefused: one that the host's policy does not give.
    """
    base = () if ALL in rights.cap_drop else confinement.DEFAULT_CAPABILITIES
    held = {name for name in base if name not in rights.cap_drop} | set(rights.cap_add)
    if ALL in held:
        msg = "No container here has all capabilities. Add those by name that it needs (--cap-add)."
        raise RequestRefused(msg)
    for name in sorted(held - policy.capabilities - set(confinement.DEFAULT_CAPABILITIES)):
        if name in confinement.GRANTABLE_CAPABILITIES:
            msg = (
                f"This host's policy does not allow {name} in containers. Its administrator can, in "
                "/etc/berth/engine.toml (capabilities)."
            )
        else:
            msg = f"No container here can have {name}: it reaches beyond the container."
        raise RequestRefused(msg)
    return tuple(name for name in confinement.KNOWN_CAPABILITIES if name in held)


def refuse_unfit_rights(rights: RightsRequest, policy: Policy) -> None:
    """Go on only if the policy gives all of it.

    Raises:
        RequestRefused: with the sentence for the person who asked.
    """
    capabilities(rights, policy)
    if rights.unconfined and not policy.seccomp_unconfined:
        msg = (
            "This host's policy does not allow containers without a filter of system calls (seccomp=unconfined). Its "
            "administrator can, in /etc/berth/engine.toml (seccomp_unconfined = true)."
        )
        raise RequestRefused(msg)
