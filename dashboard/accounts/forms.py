"""Forms of the accounts pages. Field lists are explicit: nothing else of a person can be set (WEB-02)."""

from __future__ import annotations

from typing import ClassVar

from django import forms
from django.conf import settings
from django.contrib.auth import get_user_model, password_validation
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.models import Preferences

THEMES = (
    ("", _("As the system")),
    ("light", _("Light")),
    ("dark", _("Dark")),
    ("contrast", _("High contrast")),
)


class NewAccountForm(forms.Form):
    username = forms.CharField(label=_("User name"), max_length=150, validators=[UnicodeUsernameValidator()])
    password1 = forms.CharField(
        label=_("Password"),
        widget=forms.PasswordInput,
        strip=False,
        help_text=format_lazy(
            _("At least {length} characters; not a common password, and not like the user name."),
            length=settings.PASSWORD_MIN_LENGTH,
        ),
    )
    password2 = forms.CharField(label=_("Password again"), widget=forms.PasswordInput, strip=False)

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        if get_user_model().objects.filter(username__iexact=username).exists():
            raise ValidationError(_("This user name is taken."))
        return username

    def clean(self) -> None:
        first, second = self.cleaned_data.get("password1"), self.cleaned_data.get("password2")
        if first and second and first != second:
            self.add_error("password2", _("The two passwords differ."))
        elif first:
            person = get_user_model()(username=self.cleaned_data.get("username", ""))
            try:
                password_validation.validate_password(first, person)
            except ValidationError as error:
                self.add_error("password1", error)


class PreferencesForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only for checkers
    language = forms.ChoiceField(
        label=_("Language"), required=False, choices=[("", _("As the browser")), *settings.LANGUAGES]
    )
    theme = forms.ChoiceField(label=_("Theme"), required=False, choices=THEMES)

    class Meta:
        model = Preferences
        fields: ClassVar = ["language", "theme"]
