"""The engine's sentences about what is done to containers that are there. Part of `engine_words`, whose rules hold."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_noop

OPERATIONS: Final = (
    gettext_noop("The container could not be paused: {problem}"),
    gettext_noop("The files of container {id} cannot be looked at: {problem}."),
    gettext_noop("More than {count} files have changed in this container: too many to list."),
    gettext_noop("The container could not go on: {problem}"),
    gettext_noop("The container's limits could not be changed: {problem}"),
    # Taking Berth off the host
    gettext_noop("Some processes of containers do not end; their control groups stay."),
    gettext_noop("containers still run: {names}. Stop them, or add --force to end them."),
    # Files into containers and out of them
    gettext_noop("Container {id} has just ended. Try again."),
    gettext_noop("Could not find the file {path} in the container"),
    gettext_noop("The copy was cancelled."),
    gettext_noop("The copy was cut off. Try again."),
    gettext_noop("The path in the container is empty, longer than 4096 bytes, or has a NUL in it."),
    gettext_noop("an owner in the archive has no number in this container"),
    gettext_noop("cannot copy directory to a file"),
    gettext_noop("cannot overwrite directory {path} with non-directory"),
    gettext_noop("cannot overwrite non-directory {path} with directory"),
    gettext_noop("destination {path} must be a directory"),
    gettext_noop("it contains a {kind}, which is not copied"),
    gettext_noop("no space left on device in the container"),
    gettext_noop("{path} cannot be written to: it is read-only in the container"),
    gettext_noop("{path} cannot be copied: {problem}"),
    gettext_noop("{path} is not a directory"),
    gettext_noop("{path} is not a directory, or leads through a link"),
    gettext_noop("{path} lies in /proc, /sys or /dev: what is there is the system's and is not copied"),
    # Commands in containers
    gettext_noop("'{id}' is not the id of a command in a container."),
    gettext_noop("'{id}' is not the id of a command."),
    gettext_noop("The host's policy does not allow this command: {problem}."),
    gettext_noop("This image has no shell (no bash, ash or sh), so none can be opened in its containers."),
    gettext_noop("The command was started already."),
    gettext_noop("The command could not be started: {problem}."),
    gettext_noop("The command is still running."),
    gettext_noop("The command does not end, although it was killed."),
)
