"""Images, tags, layers, and who may see which (ADR 30).

An `Image` row exists only when every one of its layers is READY: it and the tag appear in one transaction at the end
of a pull. While a pull runs, `PullLayer` rows lease its layers and carry their progress.
"""

from __future__ import annotations

from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import Q

from dashboard.core.models import Timestamped
from dashboard.jobs.models import Job
from dashboard.teams.models import Team, main_team_id

PULL: Final = "pull_image"  # the kind of the jobs that `PullLayer` rows belong to


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
    is_public = models.BooleanField(default=False)  # a registry gave it to us without credentials, or a team shared it
    source = models.CharField(max_length=700, blank=True, default="")  # registry/repository@digest it was written from

    def __str__(self) -> str:
        return f"{self.diff_id[:19]} {self.state}"


class Image(Timestamped):
    """Seen by everybody if it is public, else by the teams that hold it."""

    image_id = models.CharField(max_length=140, unique=True)  # digest of the config blob, "sha256:…"
    config = models.JSONField()
    architecture = models.CharField(max_length=40)
    os = models.CharField(max_length=40)
    variant = models.CharField(max_length=40, blank=True, default="")
    built_at = models.DateTimeField(null=True, blank=True)  # config "created"
    size_bytes = models.BigIntegerField()  # sum of the layers' unpacked sizes, as Docker counts it
    layers = models.ManyToManyField(Layer, through="ImageLayer", related_name="images")
    is_public = models.BooleanField(default=False)
    shared_by = models.ForeignKey(Team, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    def __str__(self) -> str:
        return self.image_id[7:19]


class ImageHolder(Timestamped):
    """A team that has fetched it, or was given it; `person`: who did that first. It counts against their quotas."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="holders")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="held_images")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["image", "team"], name="holder_once")]

    def __str__(self) -> str:
        return f"{self.image_id} of {self.team_id}"


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
    """A name of an image: everybody's, or of one `team`, where it comes before everybody's of the same name."""

    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE, related_name="tags")
    registry = models.CharField(max_length=255)  # "docker.io"
    repository = models.CharField(max_length=255)  # "library/ubuntu"
    tag = models.CharField(max_length=128, blank=True, default="")  # "" when pulled by digest only
    digest = models.CharField(max_length=140)  # what the name names: the index where there is one
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="tags")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["registry", "repository", "tag"], condition=~Q(tag="") & Q(team=None), name="tag_once"
            ),
            models.UniqueConstraint(
                fields=["registry", "repository", "digest"], condition=Q(tag="", team=None), name="digest_once"
            ),
            models.UniqueConstraint(
                fields=["team", "registry", "repository", "tag"],
                condition=~Q(tag="") & Q(team__isnull=False),
                name="tag_once_in_team",
            ),
            models.UniqueConstraint(
                fields=["team", "registry", "repository", "digest"],
                condition=Q(tag="", team__isnull=False),
                name="digest_once_in_team",
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
    is_proven = models.BooleanField(default=False)  # that the pull's own registry gives it (REG-11)

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "position"], name="pull_position")]

    def __str__(self) -> str:
        return f"{self.job_id}:{self.position}"


def team_of(job: Job) -> int:
    """Whose images a pull's are: of a site administrator who works in all teams, the one that is always there."""
    return job.team_id or main_team_id()
