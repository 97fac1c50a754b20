"""Images, tags, layers.

An `Image` row exists only when every one of its layers is READY: it and the tag appear in one transaction at the end
of a pull. While a pull runs, `PullLayer` rows lease its layers and carry their progress.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from dashboard.core.models import Timestamped
from dashboard.jobs.models import Job


class LayerState(models.TextChoices):
    MISSING = "missing"  # wanted by a pull, nobody works on it
    WRITING = "writing"  # an extract_layer job has claimed it
    ADOPTING = "adopting"  # written under incoming/, the engine worker takes it over
    READY = "ready"
    FAILED = "failed"
    DAMAGED = "damaged"


class Layer(Timestamped):
    diff_id = models.CharField(max_length=140, unique=True)
    state = models.CharField(max_length=12, choices=LayerState.choices, default=LayerState.MISSING, db_index=True)
    first_id = models.BigIntegerField(default=0)  # owners in its file are moved up by so much; 0: as the image has them
    incoming = models.CharField(max_length=120, blank=True, default="")
    file_sha256 = models.CharField(max_length=64, blank=True, default="")
    file_bytes = models.BigIntegerField(default=0)
    unpacked_bytes = models.BigIntegerField(default=0)
    entries = models.PositiveIntegerField(default=0)
    warnings = models.JSONField(default=list)
    error = models.TextField(blank=True, default="")

    def __str__(self) -> str:
        return f"{self.diff_id[:19]} {self.state}"


class Image(Timestamped):
    image_id = models.CharField(max_length=140, unique=True)  # digest of the config blob, "sha256:…"
    config = models.JSONField()
    architecture = models.CharField(max_length=40)
    os = models.CharField(max_length=40)
    variant = models.CharField(max_length=40, blank=True, default="")
    built_at = models.DateTimeField(null=True, blank=True)  # config "created"
    size_bytes = models.BigIntegerField()  # sum of the layers' unpacked sizes, as Docker counts it
    layers = models.ManyToManyField(Layer, through="ImageLayer", related_name="images")

    def __str__(self) -> str:
        return self.image_id[7:19]


class ImageLayer(models.Model):
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="stack")
    layer = models.ForeignKey(Layer, on_delete=models.PROTECT, related_name="uses")
    position = models.PositiveIntegerField()  # 0 is the lowest

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["image", "position"], name="image_position")]

    def __str__(self) -> str:
        return f"{self.image_id}:{self.position}"


class Tag(Timestamped):
    registry = models.CharField(max_length=255)  # "docker.io"
    repository = models.CharField(max_length=255)  # "library/ubuntu"
    tag = models.CharField(max_length=128, blank=True, default="")  # "" when pulled by digest only
    digest = models.CharField(max_length=140)  # what the name names: the index where there is one
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="tags")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["registry", "repository", "tag"], condition=~models.Q(tag=""), name="tag_once"
            ),
            models.UniqueConstraint(
                fields=["registry", "repository", "digest"], condition=models.Q(tag=""), name="digest_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}:{self.tag}"


class PullLayer(models.Model):
    """One layer of one running (or ended) pull: its place, what to fetch, how far it is."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="pull_layers")
    layer = models.ForeignKey(Layer, on_delete=models.CASCADE, related_name="pulls")
    position = models.PositiveIntegerField()
    digest = models.CharField(max_length=140)  # of the compressed blob
    media_type = models.CharField(max_length=120)
    size_bytes = models.BigIntegerField()

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "position"], name="pull_position")]

    def __str__(self) -> str:
        return f"{self.job_id}:{self.position}"
