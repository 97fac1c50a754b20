"""nftables without its program: the library that `nft` itself is made of, in this process.

A transaction takes 4 ms this way and 15 to 50 as a program. Each call opens the library anew, so that it speaks to the
calling thread's network namespace. Source: libnftables(3); Debian package libnftables1, which nftables needs anyway.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading

from engine.errors import HostUnfit

_LIBRARY = "libnftables.so.1"
_STATELESS = 1 << 2  # as `nft -s`: no counters
_DESCRIPTORS = 1000  # it waits with select(2), and ends the whole process at its socket's number 1024
_lock = threading.Lock()  # its parser keeps some state of its own


class NftFailed(Exception):
    """nft refused; `str` is what it said. Nothing of the transaction holds."""


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        msg = "The library libnftables is not installed on this host (apt-get install nftables)."
        raise HostUnfit(msg, subject=_LIBRARY) from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    library.nft_ctx_free.restype = None
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    return library


def run(script: str) -> str:
    """Run commands as `nft -s -f -` does, in one transaction; returns what they print.

    Lists are of one family at a time: version 1.0.6 finds no tables of a second one.

    Raises:
        NftFailed: a command is wrong, the kernel refused, or this process has too many files open; nothing was changed.
        HostUnfit: nftables is not installed.
    """
    library = _library()
    with _lock:
        _refuse_high_number()
        context = library.nft_ctx_new(0)
        if not context:
            msg = "libnftables could not be opened"
            raise NftFailed(msg)
        try:
            library.nft_ctx_buffer_output(context)
            library.nft_ctx_buffer_error(context)
            library.nft_ctx_output_set_flags(context, _STATELESS)
            status = library.nft_run_cmd_from_buffer(context, script.encode())
            output = library.nft_ctx_get_output_buffer(context) or b""
            said = library.nft_ctx_get_error_buffer(context) or b""
        finally:
            library.nft_ctx_free(context)
    if status != 0:
        raise NftFailed(said.decode("utf-8", "replace").strip() or "nft refused")
    return bytes(output).decode("utf-8", "replace")


def _refuse_high_number() -> None:
    probe = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.close(probe)
    if probe >= _DESCRIPTORS:
        msg = f"the engine has too many files open ({probe}) for libnftables"
        raise NftFailed(msg)
