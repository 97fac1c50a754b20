"""The run form: fields to `ContainerOptions`, so that form, command bar and command line ask for the same thing."""

from __future__ import annotations

import shlex
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.core.sentences import translated
from dashboard.grammar import ContainerOptions
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.mounts import volume as read_volume
from dashboard.grammar.netvalues import is_network_name
from dashboard.grammar.ports import read_publish
from dashboard.grammar.runvalues import read_label_text
from dashboard.grammar.spans import read_span
from dashboard.grammar.values import is_container_name, read_cpus, read_size

_OURS = {
    "required": gettext_lazy("This is needed."),
    "max_length": gettext_lazy("At most %(limit_value)d characters."),
    "invalid": gettext_lazy("A whole number, for example 256."),
    "min_value": gettext_lazy("At least %(limit_value)d."),
    "max_value": gettext_lazy("At most %(limit_value)d."),
}


def _split(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise forms.ValidationError(_("A quote is not closed.")) from error


def _size(text: str) -> int | None:
    try:
        return read_size(text) if text else None
    except ValueRefused as error:
        raise forms.ValidationError(_("A number and a unit, for example 512m or 1g.")) from error


_RESTARTS = (
    ("", gettext_lazy("Never (no)")),
    ("on-failure", gettext_lazy("When it fails (on-failure)")),
    ("unless-stopped", gettext_lazy("Unless it was stopped (unless-stopped)")),
    ("always", gettext_lazy("Always (always)")),
)


class LimitsForm(forms.Form):
    """An empty field is the server's default."""

    memory = forms.CharField(label=gettext_lazy("Memory"), required=False, max_length=20)
    cpus = forms.CharField(label=gettext_lazy("Processors"), required=False, max_length=12)
    pids = forms.IntegerField(label=gettext_lazy("Processes"), required=False, min_value=1, max_value=1_000_000)

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: Django's own
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.error_messages |= _OURS

    def clean_memory(self) -> int | None:
        return _size(self.cleaned_data["memory"])

    def clean_cpus(self) -> int | None:
        text: str = self.cleaned_data["cpus"]
        if not text:
            return None
        try:
            return read_cpus(text)
        except ValueRefused as error:
            raise forms.ValidationError(_("A number, for example 1.5.")) from error


def _length(text: str) -> int | None:
    try:
        return read_span(text) if text else None
    except ValueRefused as error:
        raise forms.ValidationError(_("Lengths of time are written as 90m, 8h or 1d12h.")) from error


class RunForm(LimitsForm):
    image = forms.CharField(label=gettext_lazy("Image"), max_length=600)
    command = forms.CharField(label=gettext_lazy("Command"), required=False, max_length=4000)
    name = forms.CharField(label=gettext_lazy("Name"), required=False, max_length=128)
    interactive = forms.BooleanField(label=gettext_lazy("Interactive: keep input open (-i)"), required=False)
    tty = forms.BooleanField(label=gettext_lazy("Terminal (-t)"), required=False)
    auto_remove = forms.BooleanField(label=gettext_lazy("Remove when it exits (--rm)"), required=False)
    workdir = forms.CharField(label=gettext_lazy("Working directory"), required=False, max_length=1000)
    user = forms.CharField(label=gettext_lazy("User"), required=False, max_length=128)
    hostname = forms.CharField(label=gettext_lazy("Host name"), required=False, max_length=253)
    entrypoint = forms.CharField(label=gettext_lazy("Entrypoint"), required=False, max_length=1000)
    storage = forms.CharField(label=gettext_lazy("Size of its layer"), required=False, max_length=20)
    network = forms.CharField(label=gettext_lazy("Network"), required=False, max_length=128)
    restart = forms.ChoiceField(label=gettext_lazy("Start again when it ends"), required=False, choices=_RESTARTS)
    expire = forms.CharField(label=gettext_lazy("Stopped after"), required=False, max_length=20)
    idle_stop = forms.CharField(label=gettext_lazy("Stopped when unused for"), required=False, max_length=20)
    labels = forms.CharField(label=gettext_lazy("Labels"), required=False, max_length=4000)
    read_only = forms.BooleanField(label=gettext_lazy("Root file system read only (--read-only)"), required=False)
    publish = forms.CharField(label=gettext_lazy("Ports (-p)"), required=False, max_length=2000)
    publish_all = forms.BooleanField(
        label=gettext_lazy("Publish every port that the image exposes (-P)"), required=False
    )

    def clean_command(self) -> tuple[str, ...]:
        return _split(self.cleaned_data["command"])

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name and not is_container_name(name):
            raise forms.ValidationError(
                _("Letters, digits, “_”, “.” and “-”, at least two, the first a letter or digit.")
            )
        return name

    def clean_storage(self) -> int | None:
        return _size(self.cleaned_data["storage"])

    def clean_expire(self) -> int | None:
        return _length(self.cleaned_data["expire"])

    def clean_idle_stop(self) -> int | None:
        return _length(self.cleaned_data["idle_stop"])

    def clean(self) -> None:
        for source, target, is_read_only in self.volume_rows:
            if not target:
                raise forms.ValidationError(_("The volume %(name)s needs a place in the container.") % {"name": source})
            if is_read_only and not source:
                raise forms.ValidationError(_("A volume without a name is new and empty: it cannot be read only."))
        for item in self.volumes:
            try:
                read_volume(item)
            except ValueRefused as error:
                sentence = _("Volume %(volume)s: %(problem)s.") % {"volume": item, "problem": translated(str(error))}
                raise forms.ValidationError(sentence) from error

    def clean_network(self) -> str:
        name: str = self.cleaned_data["network"]
        if name and not is_network_name(name):
            raise forms.ValidationError(_("There is no such network."))
        return name

    def clean_publish(self) -> tuple[str, ...]:
        """Each as after `-p`, with spaces between."""
        try:
            return tuple(read_publish(word) for word in self.cleaned_data["publish"].split())
        except ValueRefused as error:
            raise forms.ValidationError(
                _("%(reason)s. Ports are written as 8080:80, 127.0.0.1:8080:80 or 8000-8010:8000-8010/udp.")
                % {"reason": translated(str(error))}
            ) from error

    def clean_labels(self) -> tuple[str, ...]:
        """Each as after `-l`, with spaces between."""
        try:
            return tuple(read_label_text(word) for word in _split(self.cleaned_data["labels"]))
        except ValueRefused as error:
            raise forms.ValidationError(_("Labels are written as name=value, spaces between.")) from error

    @property
    def env(self) -> tuple[str, ...]:
        """The rows of names and values; a row without a name is not said."""
        data: Any = self.data  # a QueryDict, or a dict in tests
        names = data.getlist("env_name") if hasattr(data, "getlist") else []
        values = data.getlist("env_value") if hasattr(data, "getlist") else []
        return tuple(f"{name.strip()}={value}" for name, value in zip(names, values, strict=False) if name.strip())

    @property
    def env_rows(self) -> list[tuple[str, str]]:
        pairs = (item.partition("=") for item in self.env)
        return [(name, value) for name, _sign, value in pairs]

    @property
    def volume_rows(self) -> list[tuple[str, str, bool]]:
        """(name, place, whether it is read-only) of each row that says anything; without a name it is anonymous."""
        data: Any = self.data  # a QueryDict, or a dict in tests
        fields = ("volume_source", "volume_target", "volume_mode")
        columns = [data.getlist(field) if hasattr(data, "getlist") else [] for field in fields]
        rows = zip(*columns, strict=False)
        return [
            (source.strip(), target.strip(), mode == "ro")
            for source, target, mode in rows
            if f"{source}{target}".strip()
        ]

    @property
    def volumes(self) -> tuple[str, ...]:
        """The rows as `-v` spells them."""
        rows = [row for row in self.volume_rows if row[1]]
        return tuple(
            ":".join(filter(None, (source, target, "ro" if ro and source else ""))) for source, target, ro in rows
        )

    def options(self) -> ContainerOptions:
        """What is valid so far: the same-as line is drawn while a person still types."""
        said = self.cleaned_data
        return ContainerOptions(
            image=said.get("image") or "IMAGE",
            command=said.get("command") or (),
            name=said.get("name") or "",
            env=self.env,
            workdir=said.get("workdir") or "",
            user=said.get("user") or "",
            hostname=said.get("hostname") or "",
            entrypoint=said.get("entrypoint") or None,
            interactive=bool(said.get("interactive")),
            tty=bool(said.get("tty")),
            detach=not said.get("tty"),
            auto_remove=bool(said.get("auto_remove")),
            memory_bytes=said.get("memory"),
            nano_cpus=said.get("cpus"),
            pids_limit=said.get("pids"),
            publish=said.get("publish") or (),
            publish_all=bool(said.get("publish_all")),
            volumes=self.volumes,
            networks=(said["network"],) if said.get("network") else (),
            storage_bytes=said.get("storage"),
            restart=said.get("restart") or "",
            expire_s=said.get("expire"),
            idle_stop_s=said.get("idle_stop"),
            labels=said.get("labels") or (),
            read_only=bool(said.get("read_only")),
        )
