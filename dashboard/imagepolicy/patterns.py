"""What a rule of an image policy names: registries, repositories, tags or digests. No database.

ubuntu                docker.io/library/ubuntu, whatever its tag
ubuntu:14.04          that tag
ubuntu:22.*           tags that begin so
python@sha256:…       that digest
ghcr.io/team/*        every repository below
ghcr.io/*             everything of that registry
*                     everything
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from dashboard import gateway
from dashboard.core.errors import DashboardError

ANY: Final = "*"
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\*?\Z", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Name:
    """One image as a policy sees it: `name` is `docker.io/library/ubuntu`; `tag` or `digest` can be ""."""

    name: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def of(cls, reference: gateway.Reference) -> Name:
        return cls(reference.name, reference.tag or "", "" if reference.digest is None else str(reference.digest))


@dataclass(frozen=True, slots=True)
class Pattern:
    """`name` ends in `*`, or is whole; `tag` is "" for all, may end in `*`; `digest` "" for whichever."""

    name: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Raises DashboardError: 400, nothing could be called that."""
        text = text.strip()
        if text == ANY:
            return cls(ANY)
        rest, _sign, digest = text.partition("@")
        before, colon, tag = rest.rpartition(":")
        if not colon or "/" in tag:
            before, tag = rest, ""
        if text.endswith((":", "@")):
            raise _unfit(text)
        is_open = before.endswith("/*")
        try:
            name = f"{_registry_and(before[:-2])}/*" if is_open else gateway.parse(before).name
        except gateway.EngineError as error:
            raise _unfit(text) from error
        if (tag and not _TAG.match(tag)) or (digest and not _DIGEST.match(digest)) or (is_open and (tag or digest)):
            raise _unfit(text)
        return cls(name, tag, digest)

    def matches(self, image: Name) -> bool:
        if self.name == ANY:
            return True
        if self.name.endswith("/*"):
            return image.name.startswith(self.name[:-1])
        if self.name != image.name or (self.digest and self.digest != image.digest):
            return False
        if not self.tag:
            return True
        return image.tag.startswith(self.tag[:-1]) if self.tag.endswith("*") else image.tag == self.tag

    @property
    def exact(self) -> str:
        """As people write it, where it names one image that could be pulled; "" where it is wider."""
        if self.name.endswith("*") or self.tag.endswith("*") or not self.tag:
            return ""
        return gateway.parse(f"{self.name}:{self.tag}").familiar


def _registry_and(text: str) -> str:
    """The complete name of what stands before `/*`: `ghcr.io`, `ghcr.io/team`, `team` (of docker.io).

    Raises:
        EngineError: it is no name.
    """
    probe = gateway.parse(f"{text}/x")
    return probe.name.removesuffix("/x")


def _unfit(text: str) -> DashboardError:
    return DashboardError(
        _("%(text)s names no image: write it as ubuntu, ubuntu:14.04, ghcr.io/team/* or *.")
        % {"text": text[:120] or "–"}
    )
