from __future__ import annotations

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.grammar.mounts import NAME_LIMIT, is_volume_name


class VolumeForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), required=False, max_length=NAME_LIMIT)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name and not is_volume_name(name):
            raise forms.ValidationError(
                _("Letters, digits, “_”, “.” and “-”, at least two, the first a letter or digit.")
            )
        return name
