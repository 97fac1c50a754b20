"""What the dashboard says in English first: in rows, of what was typed, on a WebSocket. `sentences` looks it up.

`{…}` stands for whatever is put there; what stands at `{what}` and `{why}` is looked up again. Lines that imitate
Docker's are not here on purpose, but for those of a field of a form, which stand inside a sentence of the form's. A test
walks the source and names each that is missing here, and each that nobody says.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_noop

# What jobs and containers say beside the engine.
OWN: Final = (
    gettext_noop("Container {id} is being started. Try again in a moment."),
    gettext_noop("Its worker was lost {count} times; Berth gave up on it."),
    gettext_noop("Berth made a mistake here. The log of its workers has the details."),
    gettext_noop("This host gives Berth no more open files, processes or memory. Try again when it has room."),
    gettext_noop("The person who asked for this has no account any more."),
    gettext_noop("The account that asked for this is no longer active."),
    gettext_noop("The person who asked for this may not do it any more."),
    gettext_noop("No worker knows how to do '{kind}'."),
    gettext_noop("'{kind}' is not done by this worker."),
    gettext_noop("The database did not answer: {problem}"),
    gettext_noop("Nobody waits for this layer any more."),
    gettext_noop(
        "{count} containers are being stopped with a long wait already. Stop this one within {seconds} seconds, or kill it."
    ),
    gettext_noop("{count} archives of volumes are being written or read already. Try again when one of them is done."),
    gettext_noop("The container was gone when Berth looked for it."),
    gettext_noop("The command was gone when Berth looked for it."),
    gettext_noop("The container's monitor was lost, so the container was ended and its exit code is unknown."),
    gettext_noop("It was stopped: a quota of running hours is used up."),
    gettext_noop("There is no such rule: {names}."),
    gettext_noop("It was stopped: its life span has ended."),
    gettext_noop("It was stopped: nobody has used it for a while."),
    gettext_noop("The start was cut off at the step '{step}'. Start it again."),
    gettext_noop("The start was cut off. Start it again."),
    gettext_noop("It could not be removed: {why}"),
    gettext_noop("A container has at most {limit} mounts."),
    gettext_noop("A volume has at most {limit} labels."),
    gettext_noop("Ports of the host below {limit} are published by administrators only. Name a higher one."),
    gettext_noop("Cancelled."),
    gettext_noop("Other containers took the ids that were chosen for this one. Start it again."),
    gettext_noop("The work was cancelled."),
)

# What the grammar says of ports and volumes, as far as a form can ask for them.
TYPED: Final = (
    gettext_noop("invalid hostPort: {port}"),
    gettext_noop("invalid containerPort: {port}"),
    gettext_noop("invalid proto: {protocol}"),
    gettext_noop("invalid IP address: {address}"),
    gettext_noop("no port specified: {text}"),
    gettext_noop("invalid ranges specified for container and host Ports: {container} and {host}"),
    gettext_noop("invalid publish opts format (should be name=value but got '{part}')"),
    gettext_noop("invalid port format for --expose: {text}"),
    gettext_noop("sctp ports cannot be published here: the firewall of this engine translates tcp and udp"),
    gettext_noop("nothing can be published on {address}. Name an address of this host as it is"),
    gettext_noop("a container publishes at most {limit} ports, and this one wants {wanted}"),
    gettext_noop("volume name is too short, names should be at least two alphanumeric characters"),
    gettext_noop(
        'create {name}: "{same}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
    ),
    gettext_noop("invalid mount path: it holds control characters"),
    gettext_noop("invalid volume specification: '{text}'"),
    gettext_noop("invalid mode: {mode}"),
    gettext_noop("'{word}' relabels files for SELinux, which containers do not use here"),
    gettext_noop("mounts made in a container are never passed on, so '{word}' cannot be had"),
)

# What a WebSocket says when it refuses or ends, and what stands in a terminal's banner.
STREAMS: Final = (
    gettext_noop("Sign in first."),
    gettext_noop("You may not do this."),
    gettext_noop("There is nothing at this address."),
    gettext_noop("The message is too big."),
    gettext_noop("Too many connections are open. Close some pages or streams first."),
    gettext_noop("Berth could not check your rights."),
    gettext_noop("You have {limit} streams open. Close one of them first."),
    gettext_noop("Somebody else holds the input of this container."),
    gettext_noop("The reader took nothing for a minute."),
    gettext_noop("The stream failed."),
    gettext_noop("The stream has ended."),
    gettext_noop("Too much input at once."),
    gettext_noop("Detached."),
    gettext_noop("The disk is or was full: output is missing. Typing and stopping still work."),
    gettext_noop("The container was killed because it ran out of memory."),
    gettext_noop("The command was killed because it ran out of memory."),
    gettext_noop("The container was removed."),
    gettext_noop("The archive is not ready yet."),
    gettext_noop("That was no frame of a transfer."),
    gettext_noop("Too much was sent at once."),
    gettext_noop("The archive cannot be moved: {problem}."),
    gettext_noop("Something in Berth itself went wrong. Its log has the details."),
    gettext_noop("The archive is larger than {limit} bytes, the most that is taken."),
    gettext_noop("Only {part} of {whole} bytes have arrived. Try again."),
)
