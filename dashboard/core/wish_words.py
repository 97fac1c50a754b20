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
)
