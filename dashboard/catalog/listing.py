"""Rows and drawings of images for pages: what a template needs and nothing it would have to compute."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.catalog.lookup import familiar_name
from dashboard.catalog.models import Image, ImageLayer, Tag
from dashboard.grammar import human_size
from dashboard.jobs.models import Job

_DONE = frozenset({"Pull complete", "Already exists"})


@dataclass(frozen=True, slots=True)
class Slab:
    """One layer in a drawing; `weight` is its share of the height."""

    diff_id: str
    weight: int
    label: str


@dataclass(frozen=True, slots=True)
class ImageRow:
    key: str  # stays the same while the row means the same: live updates keep its node
    image: Image
    name: str
    tag: str
    digest: str
    slabs: tuple[Slab, ...]
    users: int
    is_public: bool  # else only teams that hold it see it

    @property
    def reference(self) -> str:
        """What to say to run or remove this row."""
        if not self.name:
            return self.image.image_id.removeprefix("sha256:")[:12]
        return f"{self.name}:{self.tag}" if self.tag else f"{self.name}@{self.digest}"


def slabs_of(stack: Iterable[ImageLayer]) -> tuple[Slab, ...]:
    """Empty layers still show as the thinnest line."""
    return tuple(
        Slab(
            link.layer.diff_id,
            max(link.layer.unpacked_bytes, 1),
            f"{link.layer.diff_id.removeprefix('sha256:')[:12]} · {human_size(link.layer.unpacked_bytes)}",
        )
        for link in stack
    )


def _row(image: Image, tag: Tag | None) -> ImageRow:
    name = familiar_name(tag) if tag else ""
    return ImageRow(
        key=f"{image.pk}-{tag.pk if tag else 0}",
        image=image,
        name=name,
        tag=tag.tag if tag else "",
        digest=tag.digest if tag else "",
        slabs=slabs_of(image.stack.all()),
        users=image.containers.count() if not hasattr(image, "user_count") else image.user_count,
        is_public=image.is_public,
    )


def _tags(image: Image) -> Sequence[Tag | None]:
    return list(image.tags.all()) or (None,)


def image_rows(images: Iterable[Image], query: str = "") -> list[ImageRow]:
    """A row for each tag, and one for an image without any. `query` matches any part of name, tag or id."""
    rows = [_row(image, tag) for image in images for tag in _tags(image)]
    wanted = query.strip().lower()
    if wanted:
        rows = [row for row in rows if wanted in f"{row.name}:{row.tag}".lower() or wanted in row.image.image_id]
    return sorted(rows, key=lambda row: (row.name or "~", row.tag))


@dataclass(frozen=True, slots=True)
class PullLayerNow:
    id: str
    status: str
    current: int
    total: int

    @property
    def is_done(self) -> bool:
        return self.status in _DONE

    @property
    def fill(self) -> str:
        if self.is_done:
            return "100"
        return f"{min(100.0, 100 * self.current / self.total):.1f}" if self.total else "0"

    @property
    def weight(self) -> int:
        return max(self.total, 1)

    @property
    def sizes(self) -> str:
        if self.is_done or not self.current:
            return human_size(self.total, digits=4) if self.total else ""
        return f"{human_size(self.current, digits=4)} / {human_size(self.total, digits=4)}"


@dataclass(frozen=True, slots=True)
class PullCard:
    """A pull as its card shows it, from the job's row."""

    job: Job
    reference: str
    platform: str  # "" unless one was asked for
    layers: tuple[PullLayerNow, ...]

    @property
    def current(self) -> int:
        return sum(layer.total if layer.is_done else min(layer.current, layer.total) for layer in self.layers)

    @property
    def total(self) -> int:
        return sum(layer.total for layer in self.layers)

    @property
    def percent(self) -> float:
        if self.job.state == "succeeded":
            return 100.0
        return 100 * self.current / self.total if self.total else 0.0


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else 0


def pull_card(job: Job) -> PullCard:
    progress: dict[str, Any] = job.progress if isinstance(job.progress, dict) else {}
    listed: Sequence[dict[str, Any]] = progress.get("layers") or ()
    layers = tuple(
        PullLayerNow(str(item["id"]), str(item["status"]), _number(item.get("current")), _number(item.get("total")))
        for item in listed
    )
    return PullCard(job, str(job.params.get("reference", "")), str(job.params.get("platform") or ""), layers)
