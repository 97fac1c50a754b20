"""allauth's forms for passkeys, for answers of no browser: what is not WebAuthn's JSON is a wrong answer, not an error of ours."""

from __future__ import annotations

from typing import Any, Final

from allauth.mfa.adapter import get_adapter
from allauth.mfa.webauthn.forms import AddWebAuthnForm, AuthenticateWebAuthnForm, LoginWebAuthnForm
from django.core.exceptions import ValidationError

_NONSENSE: Final = (KeyError, TypeError, ValueError, AttributeError)


def _wrong() -> ValidationError:
    return get_adapter().validation_error("incorrect_code")  # type: ignore[no-any-return]  # as below


class AddPasskey(AddWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    def clean(self) -> Any:
        try:
            return super().clean()
        except _NONSENSE as error:
            raise _wrong() from error


class ShowPasskey(AuthenticateWebAuthnForm):  # type: ignore[misc]  # as above
    def clean_credential(self) -> Any:
        try:
            return super().clean_credential()
        except _NONSENSE as error:
            raise _wrong() from error


class EnterByPasskey(ShowPasskey, LoginWebAuthnForm):  # type: ignore[misc]  # as above
    """Of whoever the passkey says."""
