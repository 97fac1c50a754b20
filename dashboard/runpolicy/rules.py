"""What a team's containers may be, within what the host allows: as a value, compared with a wish. No database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from django.utils.translation import gettext as _

from dashboard import gateway


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The defaults are what a team has of which nobody said anything: nothing of the host.

    None: whatever the host allows (`capabilities`, `host_paths`), or all of the team's networks. `labels`: keys that each
    container must carry.
    """

    privileged: bool = False
    userns_host: bool = False
    seccomp_unconfined: bool = False
    host_namespaces: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    capabilities: frozenset[str] | None = None
    host_paths: frozenset[str] | None = None
    networks: frozenset[str] | None = None
    no_new_privileges: bool = False
    labels: frozenset[str] = frozenset()

    def is_within(self, other: Rules) -> bool:
        """Whether nothing is allowed by this that `other` forbids."""
        loose = ("privileged", "userns_host", "seccomp_unconfined")
        if any(getattr(self, name) > getattr(other, name) for name in loose):
            return False
        if not (self.host_namespaces <= other.host_namespaces and self.devices <= other.devices):
            return False
        if other.no_new_privileges > self.no_new_privileges or not other.labels <= self.labels:
            return False
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("capabilities", "host_paths", "networks"))
        return all(theirs is None or (own is not None and own <= theirs) for own, theirs in pairs)

    def ceilings(self) -> gateway.Policy:
        """For the engine's last look at the final spec: of the host's ceilings a start has what stands here, too."""
        every = gateway.Policy.everything()
        return replace(
            every,
            capabilities=every.capabilities if self.capabilities is None else self.capabilities,
            seccomp_unconfined=self.seccomp_unconfined,
            no_new_privileges=self.no_new_privileges,
            userns_host=self.userns_host,
            privileged=self.privileged,
            host_namespaces=self.host_namespaces,
            devices=self.devices,
            host_paths=every.host_paths if self.host_paths is None else tuple(sorted(self.host_paths)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a container asks for, as far as rules are about it. `networks`: names; `labels`: keys."""

    privileged: bool = False
    userns_host: bool = False
    unconfined: bool = False
    namespaces: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    capabilities: frozenset[str] = frozenset()
    host_paths: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    no_new_privileges: bool = False
    labels: frozenset[str] = frozenset()


def complaints(rules: Rules, wish: Wish) -> Iterator[str]:
    """What of a wish the rules do not allow, a few words each."""
    yield from _of_the_host(rules, wish)
    yield from _listed(rules, wish)
    if rules.no_new_privileges and not wish.no_new_privileges:
        yield _("containers without --security-opt no-new-privileges")
    for key in sorted(rules.labels - wish.labels):
        yield _("containers without a label %(key)s (--label)") % {"key": key}


def _of_the_host(rules: Rules, wish: Wish) -> Iterator[str]:
    if wish.privileged and not rules.privileged:
        yield _("privileged containers (--privileged)")
    if wish.userns_host and not (rules.userns_host or (wish.privileged and rules.privileged)):
        yield _("containers whose root is the host's root (--userns host)")
    if wish.unconfined and not rules.seccomp_unconfined:
        yield _("containers without a filter of system calls (seccomp=unconfined)")
    for kind in sorted(wish.namespaces - rules.host_namespaces):
        yield _("the host's %(kind)s namespace") % {"kind": kind}


def _listed(rules: Rules, wish: Wish) -> Iterator[str]:
    for path in sorted(wish.devices - rules.devices):
        yield _("the device %(path)s") % {"path": path}
    for name in sorted(wish.capabilities - _or_all(rules.capabilities, wish.capabilities)):
        yield _("the capability %(name)s") % {"name": name}
    for name in sorted(wish.networks - _or_all(rules.networks, wish.networks)):
        yield _("the network %(name)s") % {"name": name}
    folders = _or_all(rules.host_paths, frozenset({"/"}))
    for path in sorted(wish.host_paths):
        if not any(gateway.is_below(path, folder) for folder in folders):
            yield _("the folder %(path)s of the host") % {"path": path}


def _or_all(listed: frozenset[str] | None, everything: frozenset[str]) -> frozenset[str]:
    return everything if listed is None else listed


def as_mapping(rules: Rules) -> dict[str, object]:
    """Rule → value, in the order that people read them."""
    return {name: getattr(rules, name) for name in names()}


def names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Rules))
