"""Every error that the engine raises on purpose.

    EngineError
    ├─ ReferenceInvalid         a name of an image that breaks the grammar
    ├─ RegistryError            the registry or what it said
    │  ├─ ImageUnknown          no such repository, tag, digest or platform there
    │  ├─ RegistryDenied        credentials missing or refused
    │  ├─ RegistryUnreachable   no connection, time-out, 5xx after all retries     (retryable)
    │  ├─ RegistryBusy          429 after all retries                              (retryable)
    │  └─ DocumentInvalid       manifest, index or config that may not be trusted
    ├─ StoreError               blobs and layer files
    │  ├─ DigestMismatch        bytes hash to something else than was asked for
    │  ├─ StoreFull             no space, or the reserve would be touched
    │  └─ NotStored             a blob or a layer file is not there
    ├─ LayerRejected            a layer archive that is broken or hostile
    ├─ ArchiveRejected          the same of any other archive, or what cannot be put into one
    ├─ RuntimeFailed            runc or conmon could not do it
    │  ├─ CommandNotFound       exit code 127
   │  │  └─ ShellNotFound      the image has none
    │  ├─ CommandNotExecutable  exit code 126
    │  ├─ UserUnknown           the user or group is not in the image
    │  └─ ImageUnfit            the image's files make it unsafe or impossible to start
    ├─ FileUnknown              a path that is not there in a container
    ├─ RequestRefused           a limit out of range, or what the host's policy forbids
    ├─ NetworkError             bridge, addresses, firewall
    │  └─ PortTaken             a port of the host that somebody else has
    ├─ WrongState               the container is not in a state that allows it
    ├─ HostUnfit                the host lacks something that Berth needs
    └─ Cancelled                somebody asked for the work to stop

`str(error)` is one plain sentence for a person. Foreign text in it is capped at 64 KiB and cleaned of control
characters. If you add a class: `dashboard.gateway` maps each one to a status code, and a test walks the tree.
"""

from __future__ import annotations

FOREIGN_TEXT_LIMIT_BYTES = 64 * 1024


def clean_text(text: str) -> str:
    """Foreign text made fit to show: capped at 64 KiB, control characters other than newline and tab replaced."""
    shown = text.encode("utf-8", "replace")[:FOREIGN_TEXT_LIMIT_BYTES].decode("utf-8", "ignore")
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in shown)


class EngineError(Exception):
    """Base of all. `code` is stable and machine-readable; `subject` the digest, reference or id it is about."""

    code = "engine"
    retryable = False

    def __init__(self, message: str, *, subject: str | None = None) -> None:
        super().__init__(clean_text(message))
        self.subject = subject


class ReferenceInvalid(EngineError):
    code = "reference-invalid"


class RegistryError(EngineError):
    code = "registry"


class ImageUnknown(RegistryError):
    code = "image-unknown"


class RegistryDenied(RegistryError):
    code = "registry-denied"


class RegistryUnreachable(RegistryError):
    code = "registry-unreachable"
    retryable = True


class RegistryBusy(RegistryError):
    code = "registry-busy"
    retryable = True


class DocumentInvalid(RegistryError):
    code = "document-invalid"


class StoreError(EngineError):
    code = "store"


class DigestMismatch(StoreError):
    code = "digest-mismatch"


class StoreFull(StoreError):
    code = "store-full"


class NotStored(StoreError):
    code = "not-stored"


class LayerRejected(EngineError):
    code = "layer-rejected"


class ArchiveRejected(EngineError):
    code = "archive-rejected"


class RuntimeFailed(EngineError):
    code = "runtime"
    exit_code = 125


class CommandNotFound(RuntimeFailed):
    code = "command-not-found"
    exit_code = 127


class ShellNotFound(CommandNotFound):
    code = "shell-not-found"


class CommandNotExecutable(RuntimeFailed):
    code = "command-not-executable"
    exit_code = 126


class UserUnknown(RuntimeFailed):
    code = "user-unknown"


class ImageUnfit(RuntimeFailed):
    code = "image-unfit"


class FileUnknown(EngineError):
    code = "file-unknown"


class RequestRefused(EngineError):
    code = "request-refused"


class NetworkError(EngineError):
    code = "network"


class PortTaken(NetworkError):
    code = "port-taken"

    def __init__(self, message: str, *, protocol: str, address: str, port: int) -> None:
        super().__init__(message)
        self.protocol, self.address, self.port = protocol, address, port

    def with_message(self, message: str) -> PortTaken:
        return PortTaken(message, protocol=self.protocol, address=self.address, port=self.port)


class WrongState(EngineError):
    code = "wrong-state"


class HostUnfit(EngineError):
    code = "host-unfit"


class Cancelled(EngineError):
    code = "cancelled"
