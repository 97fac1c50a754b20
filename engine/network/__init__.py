"""Networks: a bridge each, one address a container in each, NAT out, published ports in, names inside, and no way from
one network to another or to the host's services.

`network` is the door; `addresses`, `definition` and `ruleset` are pure, `links` speaks netlink, `routes` looks at the
host's, `firewall` loads rules, `resolvers` makes resolv.conf, `names` keeps the name server, `published` says which
ports lead where, `reservations` holds them. Everything is named after `config.tag` and can be rebuilt from what the
kernel has and the run folder's small files. May import `engine.kernel`, `engine.config`, `engine.errors`.
"""

from engine.network.definition import Endpoint, NetworkDefinition
from engine.network.network import Network
from engine.network.published import Published

__all__ = ["Endpoint", "Network", "NetworkDefinition", "Published"]
