from __future__ import annotations

import os
import resource

import pytest

from engine.kernel import nft

pytestmark = pytest.mark.root


def test_too_many_open_files_are_said_and_do_not_end_the_process():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, limits[1]))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with pytest.raises(nft.NftFailed, match="too many files open"):
            nft.run("list tables inet")
    finally:
        for fd in opened:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    nft.run("list tables inet")


def test_what_it_refuses_is_said():
    with pytest.raises(nft.NftFailed, match="syntax error"):
        nft.run("add nonsense")
