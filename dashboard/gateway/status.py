"""Which HTTP status and which exit code an error of the engine means."""

from __future__ import annotations

from http import HTTPStatus

from engine import errors
from engine.terminal.tail import LogGone

_STATUS: dict[type[errors.EngineError], HTTPStatus] = {
    errors.ReferenceInvalid: HTTPStatus.BAD_REQUEST,
    errors.ImageUnknown: HTTPStatus.NOT_FOUND,
    errors.RegistryDenied: HTTPStatus.FORBIDDEN,
    errors.RegistryUnreachable: HTTPStatus.BAD_GATEWAY,
    errors.RegistryBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.RegistryError: HTTPStatus.BAD_GATEWAY,
    errors.DigestMismatch: HTTPStatus.BAD_GATEWAY,
    errors.StoreFull: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.NotStored: HTTPStatus.NOT_FOUND,
    errors.StoreError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.LayerRejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ArchiveRejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.CommandNotFound: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.CommandNotExecutable: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UserUnknown: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ImageUnfit: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.RuntimeFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.FileUnknown: HTTPStatus.NOT_FOUND,
    errors.RequestRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.PortTaken: HTTPStatus.CONFLICT,
    errors.NetworkError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.WrongState: HTTPStatus.CONFLICT,
    errors.HostUnfit: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Cancelled: HTTPStatus.CONFLICT,
    LogGone: HTTPStatus.GONE,
}
OUR_EXIT_CODE = 125


def status_of(error: errors.EngineError) -> int:
    """The status of the nearest class that has one: a new sub-class answers as its family does.

    Raises:
        LookupError: a family nobody mapped; a test walks all classes.
    """
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return int(_STATUS[kind])
    msg = f"{type(error).__name__} has no HTTP status."
    raise LookupError(msg)


def exit_code_of(error: Exception) -> int:
    """What a command line ends with: 126, 127, or 125 for everything that is ours."""
    return error.exit_code if isinstance(error, errors.RuntimeFailed) else OUR_EXIT_CODE
