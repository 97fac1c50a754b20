"""A 32-bit program of 116 bytes, as old ones are: it gets a TCP socket through `socketcall` and ends with 42."""

from __future__ import annotations

import struct

_BASE = 0x08048000
_HEADERS = 52 + 32


def socketcall_program() -> bytes:
    code = bytes.fromhex(
        "6a00"  # push 0 (protocol)
        "6a01"  # push 1 (SOCK_STREAM)
        "6a02"  # push 2 (AF_INET)
        "89e1"  # mov ecx, esp
        "bb01000000"  # mov ebx, 1 (SYS_SOCKET)
        "b866000000"  # mov eax, 102 (socketcall)
        "cd80"  # int 0x80
        "bb2a000000"  # mov ebx, 42
        "85c0"  # test eax, eax
        "7902"  # jns over the next
        "31db"  # xor ebx, ebx
        "b801000000"  # mov eax, 1 (exit)
        "cd80"  # int 0x80
    )
    size = _HEADERS + len(code)
    ident = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9)
    header = ident + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, _BASE + _HEADERS, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, 0, _BASE, _BASE, size, size, 5, 0x1000)
    return header + segment + code
