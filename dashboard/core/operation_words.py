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
