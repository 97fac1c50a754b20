"""The engine's sentences about what `run` and `create` may ask for. Part of `engine_words`, whose rules hold."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_noop

WISHES: Final = (
    # Names, and an init
    gettext_noop("Host names, domains and name servers must be plain words and addresses."),
    gettext_noop("A domain name has at most {limit} characters."),
    gettext_noop("A container is told at most {limit} names and name servers of a kind."),
    gettext_noop("An init in containers is tini ({path}), which is not installed: apt-get install tini."),
    # Rights and shares
    gettext_noop("The host allows at most {limit} processes in a container."),
    gettext_noop("The host allows at most {limit} MiB of memory for a container."),
    gettext_noop("The host allows at most {limit} CPUs for a container."),
    gettext_noop("No container here has all capabilities. Add those by name that it needs (--cap-add)."),
    gettext_noop(
        "This host's policy does not allow {name} in containers. Its administrator can, in /etc/berth/engine.toml (capabilities)."
    ),
    gettext_noop("No container here can have {name}: it reaches beyond the container."),
    gettext_noop(
        "This host's policy does not allow containers without a filter of system calls (seccomp=unconfined). Its administrator can, in /etc/berth/engine.toml (seccomp_unconfined = true)."
    ),
    gettext_noop(
        "A container ends before the host's own services when memory runs out: its oom score is 1 to 1000 here."
    ),
    gettext_noop("This kernel cannot limit the rate of a device (no blkio throttling in its control groups)."),
    gettext_noop("A container always has a limit here. Name one for its memory and swap together (--memory-swap)."),
    gettext_noop("This kernel cannot limit swap, so containers have none."),
    gettext_noop("This kernel cannot keep a container on some processors (no cpuset in its control groups)."),
    gettext_noop("This kernel cannot limit a container: its control groups have no {names} controller."),
    gettext_noop("This kernel cannot reserve memory for a container."),
    gettext_noop("The host allows at most {limit} for the limit {name} of a container."),
    gettext_noop("{path} is not a block device of this host."),
    # What of the host it may have
    gettext_noop("'{kind}' is no namespace of the host that a container could share."),
    gettext_noop(
        "A container that is privileged or shares a namespace of the host cannot have a user namespace of its own: name --userns host, too."
    ),
    gettext_noop("A device is a path below /dev, not '{path}'."),
    gettext_noop("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
    gettext_noop("In the host's own network a container's ports are the host's: do without -p."),
    gettext_noop("Requested memory nodes are not available - requested {asked}, available: {available}"),
    gettext_noop(
        "This host does not allow privileged containers (--privileged): one can do everything on the host. Its administrator can, in {path} (privileged = true)."
    ),
    gettext_noop("This host does not give {device} to containers. Its administrator can, in {path} (devices)."),
    gettext_noop(
        "This host does not let containers into its own {kind} namespace. Its administrator can, in {path} (host_namespaces)."
    ),
    gettext_noop("{path} is the host's memory, which no container gets."),
    gettext_noop('error gathering device information while adding custom device "{path}": no such device on this host'),
    gettext_noop("invalid device mode: {mode}"),
    gettext_noop("sysctl '{name}={value}' is not a setting of the kernel."),
    gettext_noop(
        "sysctl {name} is not one that containers may set here. The host's administrator can allow those of a container's own network and IPC, in {path} (sysctls)."
    ),
    gettext_noop("sysctl {name} would be the host's own, as the container shares its {kind} namespace."),
)
