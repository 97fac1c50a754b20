"""Forgetting flows that the kernel has taken a decision about.

Where a flow goes is decided at its first packet. TCP begins anew by itself; who sends UDP from one port all the time
(statistics, logs, a phone) would for ever be led to where the port led before: to the host, or to a container that has
ended. Source: libnetfilter_conntrack; the kernel filters by tuple since Linux 5.8.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from typing import TYPE_CHECKING

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.network.published import Published

logger = logging.getLogger(__name__)
_FEW = 8


def forget_flows(published: Iterable[Published]) -> None:
    """Have the next packet of each UDP flow to these ports be a first one. Never fails: then they time out."""
    ports = {one.port for one in published if one.protocol == "udp"}
    if not ports:
        return
    filters = [NFCTAttrTuple(proto=socket.IPPROTO_UDP, dport=port) for port in ports]
    if len(ports) > _FEW:
        filters = [NFCTAttrTuple(proto=socket.IPPROTO_UDP)]
    try:
        with NFCTSocket() as conntrack:
            for one in filters:
                _forget(conntrack, one, ports)
    except (NetlinkError, OSError) as error:
        logger.warning("UDP flows to published ports could not be forgotten: %s", error)


def _forget(conntrack: NFCTSocket, wanted: NFCTAttrTuple, ports: set[int]) -> None:
    for entry in list(conntrack.dump(tuple_orig=wanted)):
        found = NFCTAttrTuple.from_netlink(socket.AF_INET, entry.get_attr("CTA_TUPLE_ORIG"))
        if found.dport in ports:
            with contextlib.suppress(NetlinkError):  # it has ended meanwhile
                conntrack.entry("del", tuple_orig=found)
