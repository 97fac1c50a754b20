"""What the engine and the dashboard say of networks, for `sentences`: see `engine_words`."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_noop

NETWORKS: Final = (
    gettext_noop("The network {network} is too small or too big; its prefix must be /8 to /29."),
    gettext_noop("'{text}' is not an IPv4 network such as 10.123.0.0/20."),
    gettext_noop("The address {address} cannot be a container's in the network {network}."),
    gettext_noop("'{text}' is not an IPv4 address."),
    gettext_noop("'{text}' is not an IP address."),
    gettext_noop("'{text}' is not an IPv6 network such as fd12:3456:789a:1::/64."),
    gettext_noop("The IPv6 network {network} must be a /{length}."),
    gettext_noop(
        "The addresses of {network} may be somebody else's. Choose one of your own of {private}, as fd12:3456:789a:1::/64."
    ),
    gettext_noop("The subnet {network} is one of IPv6 addresses: say --ipv6, too."),
    gettext_noop(
        "This host has no IPv6 (or it is switched off), so networks cannot have it either. Create the network without --ipv6."
    ),
    gettext_noop("Forwarding (net.ipv6.conf.all.forwarding) could not be switched on: {problem}."),
    gettext_noop("Ports of IPv6 addresses need a relay on this host. Install it (apt-get install socat)."),
    gettext_noop("the relay did not begin to listen"),
    gettext_noop("The firewall rules could not be loaded: {problem}"),
    gettext_noop("{tool} refused a rule for {bridge} in the chain {chain}."),
    gettext_noop("The network could not be set up ({step}): {problem}."),
    gettext_noop("Forwarding (net.ipv4.ip_forward) could not be switched on: {problem}."),
    gettext_noop("The container's network namespace could not be made: {problem}."),
    gettext_noop("The address {address} is in use by container {id}."),
    gettext_noop("The library libnftables is not installed on this host (apt-get install nftables)."),
    gettext_noop("Only tcp and udp ports can be published, not '{protocol}'."),
    gettext_noop("Ports are numbers from 1 to {limit}."),
    gettext_noop(
        "So many ports cannot be published: the engine may have {limit} descriptors (ulimit -n) and needs {wanted}."
    ),
    gettext_noop("The address {address} cannot be the gateway's in the network {network}."),
    gettext_noop("The number of a network is 0 to {limit}."),
    gettext_noop("A container has at most {limit} names in a network, of letters, digits, '_', '.' and '-'."),
    gettext_noop("Networks of one's own need a name server on this host. Install it (apt-get install aardvark-dns)."),
    gettext_noop("The name server of the networks ended at once. Has another program of this host port 53?"),
    gettext_noop(
        "The network {network} overlaps another network ({other}). Remove it, and create it with another subnet."
    ),
    gettext_noop(
        "The network {network} overlaps a route of this host ({interface}). Remove it, and create it with another subnet."
    ),
    gettext_noop(
        "The addresses of {network} are not private ones, so they may be somebody else's. Choose a subnet of {private}."
    ),
    gettext_noop("The name server of this host ({server}) has an address of {network}. Choose another subnet."),
    gettext_noop("The network is in use by containers: {containers}."),
    gettext_noop("A container has at most {limit} aliases in a network."),
    gettext_noop("A container is in at most {limit} networks, and in each once."),
    gettext_noop(
        "Containers of Berth do not share a network namespace (--network container:…). Put both into one network."
    ),
    gettext_noop(
        "The network {network} is internal: nobody outside would reach a port that is published there. Name another"
        " network first, or do without -p."
    ),
    gettext_noop(
        "This host does not let containers into its own network (--network host): they would reach every service of it."
        " Publish ports instead (-p)."
    ),
    gettext_noop("There are at most {limit} networks. Remove one that you no longer need."),
    gettext_noop("The network option '{option}' is not known; bridges of Berth have none."),
    gettext_noop("A network has at most {limit} labels."),
    gettext_noop("This host has a route that overlaps {subnet}. Choose another subnet."),
    gettext_noop("The network {network} is being removed just now. Try again in a moment."),
)
