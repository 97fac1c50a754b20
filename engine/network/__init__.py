"""The default network: one bridge, one address a container, NAT out, published ports in, and no way to the host's services.

`network` is the door; `addresses` and `ruleset` are pure, `links` speaks netlink, `firewall` loads rules, `resolvers`
makes resolv.conf, `published` says which ports lead where, `reservations` holds them. Everything is named after
`config.tag` and can be rebuilt from what the kernel has and the run folder's small files. May import `engine.kernel`, `engine.config`, `engine.errors`.
"""

from engine.network.network import Network
from engine.network.published import Published
from engine.network.resolvers import resolv_conf

__all__ = ["Network", "Published", "resolv_conf"]
