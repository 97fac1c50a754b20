"""Questions that programs ask a terminal, taken out of a replay; pure.

A terminal that is fed old output answers the old questions, and the answers arrive at the shell as if somebody had typed
them (WS-10; coder#3666). Source: xterm's ctlseqs (DA, DSR, DECRQM, DECRQSS, XTVERSION, window reports, OSC colour queries).
"""

from __future__ import annotations

import re

_QUESTION = re.compile(
    rb"\x1b\[[>=]?[0-9;]*c"  # DA1, DA2, DA3
    rb"|\x1b\[\??[0-9;]*n"  # DSR, cursor position
    rb"|\x1b\[\??[0-9;]*\$p"  # DECRQM
    rb"|\x1b\[>[0-9]*q"  # XTVERSION
    rb"|\x1b\[\?u"  # kitty keyboard state
    rb"|\x1b\[(?:1[1345689]|2[01])(?:;[0-9;]*)?t"  # window and title reports
    rb"|\x1bP[$+]q[^\x1b]{0,256}\x1b\\"  # DECRQSS, XTGETTCAP
    rb"|\x1b\][0-9;]{1,12};\?(?:\x07|\x1b\\)"  # OSC colour and clipboard questions
    rb"|\x1bZ|\x05"  # DECID, ENQ
)


def without_queries(data: bytes) -> bytes:
    """`data` without complete questions. One cut in two by the end of `data` stays: the terminal's owner mutes too."""
    return _QUESTION.sub(b"", data) if b"\x1b" in data or b"\x05" in data else data
