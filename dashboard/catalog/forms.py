from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class PullForm(forms.Form):
    reference = forms.CharField(label=_("Image"), max_length=600, strip=True)
