"""Loading rules with nftables, and living beside a firewall that forbids forwarding (Docker's, ufw's)."""

from __future__ import annotations

import shutil

from engine.errors import NetworkError
from engine.kernel import nft
from engine.kernel.process import MINIMAL_ENVIRONMENT, run

_TIMEOUT_S = 20.0
_TOOLS = ("iptables", "ip6tables")


def load(script: str) -> None:
    """One nft transaction: all of it holds or none.

    Raises:
        NetworkError: with nft's words; the rules are as they were.
    """
    try:
        nft.run(script)
    except nft.NftFailed as error:
        msg = f"The firewall rules could not be loaded: {error}"
        raise NetworkError(msg) from error


def listing(table: str) -> str | None:
    """Both tables as nft prints them, without counters; None when one is missing."""
    try:
        return "".join(nft.run(f"list table {family} {table}") for family in ("inet", "bridge"))
    except nft.NftFailed:
        return None


def foreign_chain(tool: str = _TOOLS[0]) -> str | None:
    """The chain where our traffic must be let through because another firewall drops forwarding, or None.

    An accept in our own table cannot help there: a drop in any table wins. Docker's place for others is DOCKER-USER.
    """
    if shutil.which(tool, path=MINIMAL_ENVIRONMENT["PATH"]) is None:
        return None
    rules = run([tool, "-w", "5", "-S"], timeout_s=_TIMEOUT_S, check=False).stdout.decode("utf-8", "replace")
    lines = rules.splitlines()
    if "-N DOCKER-USER" in lines:
        return "DOCKER-USER"
    return "FORWARD" if "-P FORWARD DROP" in lines else None


def _pass_rules(bridges: str) -> list[list[str]]:
    """What goes in unasked is still dropped by our own table."""
    return [[side, f"{bridges}+", "-m", "comment", "--comment", "berth", "-j", "ACCEPT"] for side in ("-i", "-o")]


def is_let_through(bridges: str) -> bool:
    """Whether no other firewall's chain is without what `let_through` inserts."""
    return all(
        chain is None or all(_does(tool, ["-C", chain, *rule]) for rule in _pass_rules(bridges))
        for tool, chain in ((tool, foreign_chain(tool)) for tool in _TOOLS)
    )


def let_through(bridges: str) -> None:
    """Insert accepts for all bridges whose names start so at the head of another firewall's chains that drop what is
    forwarded. Idempotent.
    """
    for tool in _TOOLS:
        if (chain := foreign_chain(tool)) is None:
            continue
        for rule in _pass_rules(bridges):
            if not _does(tool, ["-C", chain, *rule]) and not _does(tool, ["-I", chain, *rule]):
                msg = f"{tool} refused a rule for {bridges} in the chain {chain}."
                raise NetworkError(msg)


def take_back(bridges: str) -> None:
    """Remove what `let_through` inserted, wherever it is. Idempotent."""
    for tool in _TOOLS:
        if shutil.which(tool, path=MINIMAL_ENVIRONMENT["PATH"]) is None:
            continue
        for chain in ("DOCKER-USER", "FORWARD"):
            for rule in _pass_rules(bridges):
                while _does(tool, ["-D", chain, *rule]):
                    pass


def _does(tool: str, arguments: list[str]) -> bool:
    return run([tool, "-w", "5", *arguments], timeout_s=_TIMEOUT_S, check=False).returncode == 0
