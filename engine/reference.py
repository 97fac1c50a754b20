"""Names of images, by Docker's grammar and with Docker's defaults.

    [registry/][repository/]name[:tag][@digest]

The first part is a registry only if it has a dot or a colon, is `localhost`, or has a capital letter; otherwise the
name belongs to docker.io, and a single word there to `library/`. Without tag and digest the tag is `latest`.

Source: distribution/reference 0.6, `normalize.go` and `regexp.go`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.digest import Digest
from engine.errors import ReferenceInvalid

DEFAULT_REGISTRY = "docker.io"
OFFICIAL = "library"
DEFAULT_TAG = "latest"
PATH_LIMIT = 255

_DOMAIN_PART = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?\Z")
_PATH_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z", re.ASCII)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}\Z")
_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Reference:
    """One name, complete: `registry` is never empty, `tag` is None only where a digest stands alone."""

    registry: str
    repository: str
    tag: str | None
    digest: Digest | None

    @property
    def path(self) -> str:
        """The repository as the registry knows it: `library/ubuntu`."""
        return self.repository

    @property
    def name(self) -> str:
        """`docker.io/library/ubuntu`, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar_name(self) -> str:
        """As people write it, without tag and digest: `ubuntu`, `grafana/grafana`, `quay.io/prometheus/node-exporter`.

        A repository whose first part looks like a registry (`docker.io/0.0/x`) keeps its own: it would be read as another.
        """
        if self.registry != DEFAULT_REGISTRY or _split_registry(self.repository)[0] != DEFAULT_REGISTRY:
            return self.name
        first, _, rest = self.repository.partition("/")
        return rest if first == OFFICIAL and rest and "/" not in rest else self.repository

    @property
    def familiar(self) -> str:
        """`ubuntu:14.04`; parsing it gives this reference again."""
        return self.familiar_name + self._suffix

    @property
    def canonical(self) -> str:
        """`docker.io/library/centos:7`."""
        return self.name + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.familiar


def _invalid(text: str, why: str) -> ReferenceInvalid:
    return ReferenceInvalid(f"invalid reference format: {why}", subject=text[:_SHOWN])


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    is_registry = bool(slash) and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    registry, path = (first, rest) if is_registry else (DEFAULT_REGISTRY, name)
    if registry == "index.docker.io":
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in path:
        path = f"{OFFICIAL}/{path}"
    return registry, path


def _check_registry(text: str, registry: str) -> None:
    host, _, port = registry.rpartition(":")
    if not _DOMAIN.match(registry):
        raise _invalid(text, f"'{registry[:_SHOWN]}' is not the name of a registry")
    if host and port.isdigit() and not 0 < int(port) <= 65535:
        raise _invalid(text, f"'{port}' is not a port of a registry")


def _check_path(text: str, path: str) -> None:
    if path != path.lower():
        raise _invalid(text, f"repository name ({path[:_SHOWN]}) must be lowercase")
    if len(path) > PATH_LIMIT:
        raise _invalid(text, f"repository name must not be more than {PATH_LIMIT} characters")
    for part in path.split("/"):
        if not part:
            raise _invalid(text, f"'{text[:_SHOWN]}' has an empty part between slashes")
        if not _PATH_PART.match(part):
            allowed = "lowercase letters and digits, with '.', '_', '__' or '-' between them"
            raise _invalid(text, f"'{part[:_SHOWN]}' is not part of a name: {allowed}")


def _split_digest(text: str) -> tuple[str, Digest | None]:
    name, at, digest = text.partition("@")
    if not at:
        return name, None
    try:
        return name, Digest(digest)
    except ReferenceInvalid as error:
        raise _invalid(text, str(error)) from error


def _split_tag(text: str, name: str) -> tuple[str, str | None]:
    """A colon starts a tag only behind the last slash: before it, it is the registry's port."""
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if not colon:
        return name, None
    if not tag:
        raise _invalid(text, f"the tag is missing behind the colon of '{text[:_SHOWN]}'")
    if not _TAG.match(tag):
        allowed = "at most 128 letters, digits, '_', '.' and '-', not starting with '.' or '-'"
        raise _invalid(text, f"'{tag[:_SHOWN]}' is not a tag: {allowed}")
    return head + slash + last, tag


def parse(text: str) -> Reference:
    """The reference that a person typed, with every default filled in.

    Raises:
        ReferenceInvalid: with a sentence for each kind of bad name, worded like Docker's where Docker has one.
    """
    if not text:
        raise _invalid(text, "the name of the image is empty")
    if text != text.strip() or any(c.isspace() or not c.isprintable() for c in text):
        raise _invalid(text, "the name of an image has no spaces or control characters")
    if _IDENTIFIER.match(text):
        message = f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        raise ReferenceInvalid(message, subject=text)
    rest, digest = _split_digest(text)
    name, tag = _split_tag(text, rest)
    if not name:
        raise _invalid(text, "repository name must have at least one component")
    registry, path = _split_registry(name)
    _check_registry(text, registry)
    _check_path(text, path)
    if tag is None and digest is None:
        tag = DEFAULT_TAG
    return Reference(registry, path, tag, digest)
