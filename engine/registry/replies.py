"""What a registry's answers mean for a person: bounded bodies, error documents, and the sentences people know from Docker."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from engine.errors import (
    DocumentInvalid,
    EngineError,
    ImageUnknown,
    RegistryBusy,
    RegistryDenied,
    RegistryError,
    RegistryUnreachable,
    clean_text,
)

if TYPE_CHECKING:
    from engine.reference import Reference
    from engine.registry.endpoints import Endpoint

ERROR_LIMIT_BYTES = 64 * 1024
MESSAGE_LIMIT = 300
BUSY = 429
ABSENT = 404
DENIALS = frozenset({401, 403})
PASSING = frozenset({408, 425, 500, 502, 503, 504})
"""Answers that another attempt may change."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """The first error in a registry's error document; empty texts where it sent none."""

    code: str = ""
    message: str = ""

    def __str__(self) -> str:
        words = self.code.lower().replace("_", " ")
        return ": ".join(filter(None, (words, self.message))) or "no reason given"


def read_bounded(response: httpx.Response, limit: int, what: str) -> bytes:
    """The body as it came over the wire.

    Raises:
        DocumentInvalid: longer than `limit`; no more than that was read.
    """
    found = bytearray()
    for piece in response.iter_raw():
        found += piece
        if len(found) > limit:
            msg = f"{what} is larger than {limit} bytes."
            raise DocumentInvalid(msg)
    return bytes(found)


def complaint_of(response: httpx.Response) -> Complaint:
    """The reason in an error reply. Never raises for what the body says or fails to say."""
    try:
        document = json.loads(read_bounded(response, ERROR_LIMIT_BYTES, "the error"))
        first = document["errors"][0]
        code, message = str(first.get("code", "")), str(first.get("message", ""))
    except (DocumentInvalid, httpx.TransportError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Complaint()
    return Complaint(code[:60], clean_text(message)[:MESSAGE_LIMIT])


def manifest_error(endpoint: Endpoint, reference: Reference, status: int, complaint: Complaint) -> EngineError:
    """Why there is no manifest for `reference`."""
    name = reference.familiar
    if status == ABSENT and complaint.code != "NAME_UNKNOWN":
        reason = complaint if complaint.code else Complaint("MANIFEST_UNKNOWN", "manifest unknown")
        return ImageUnknown(f"manifest for {name} not found: {reason}", subject=reference.canonical)
    if status == ABSENT or status in DENIALS:
        text = (
            f"pull access denied for {reference.familiar_name}, repository does not exist or may require 'docker login': "
            f"{complaint}"
        )
        kind = ImageUnknown if status == ABSENT else RegistryDenied
        return kind(text, subject=reference.canonical)
    return unexpected(endpoint, status, complaint)


def unexpected(endpoint: Endpoint, status: int, complaint: Complaint) -> EngineError:
    """The sentence for an answer that fits no question."""
    if status == BUSY:
        text = f"toomanyrequests: the registry {endpoint.label} wants fewer requests. Try again later. ({complaint})"
        return RegistryBusy(text, subject=endpoint.registry)
    if status in PASSING:
        text = f"The registry {endpoint.label} is in trouble: it answered {status} again and again ({complaint}). Try later."
        return RegistryUnreachable(text, subject=endpoint.registry)
    if status in DENIALS:
        text = f"The registry {endpoint.label} denied access: {complaint}."
        return RegistryDenied(text, subject=endpoint.registry)
    return RegistryError(f"The registry {endpoint.label} answered {status} ({complaint}).", subject=endpoint.registry)


def unreachable(endpoint: Endpoint, error: httpx.TransportError) -> EngineError:
    """The sentence for a connection that failed or broke."""
    label = endpoint.label
    if isinstance(error, httpx.TimeoutException):
        text = f"The registry {label} does not answer, or far too slowly. Is it up, and does this host reach it?"
    elif is_plain_answer(error):
        text = (
            f"The registry {label} answers in plain HTTP (server gave HTTP response to HTTPS client). If that is right, an "
            "administrator lists it in BERTH_PLAIN_HTTP."
        )
        return RegistryError(text, subject=endpoint.registry)
    elif is_untrusted(error):
        return RegistryError(f"The certificate of the registry {label} is not trusted: {_reason(error)}", subject=label)
    else:
        text = f"The registry {label} cannot be reached: {_reason(error)}. Is it up, and does this host reach it?"
    return RegistryUnreachable(text, subject=endpoint.registry)


def is_untrusted(error: BaseException) -> bool:
    """Whether TLS was refused by us: asking again changes nothing."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error) or _has_cause(error, ssl.SSLCertVerificationError)


def is_plain_answer(error: BaseException) -> bool:
    return any(hint in str(error) for hint in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"))


def _has_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _reason(error: Exception) -> str:
    """`connection refused` from `[Errno 111] Connection refused`."""
    text = str(error).rpartition("] ")[2] or type(error).__name__
    return clean_text(text[:1].lower() + text[1:])[:MESSAGE_LIMIT].rstrip(".")
