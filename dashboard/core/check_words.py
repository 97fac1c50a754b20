"""What `system check` finds, as gettext finds it: kinds of things, and what is wrong with one. `sentences` looks it up.

`{…}` stands for whatever is put there. If a finding is added: a test walks its source and names each that is missing here.
"""

from __future__ import annotations

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

# As `engine.violation` numbers them.
INVARIANTS: Final[dict[str, Promise]] = {
    "I1": _("Images are whole."),
    "I2": _("Nothing half-written has a final name."),
    "I3": _("Nothing is left of what does not run."),
    "I4": _("What Berth says is so."),
    "I5": _("Each container and command that runs has one monitor."),
    "I6": _("Nothing temporary is older than it may be."),
    "I7": _("What is counted is what is there."),
    "I8": _("What was written down is unbroken."),
    "I9": _("Nothing reaches out of its own place."),
    "I10": _("The engine keeps nothing that it does not need."),
}

KINDS: Final = (
    gettext_noop("blob"),
    gettext_noop("bridge"),
    gettext_noop("command"),
    gettext_noop("container"),
    gettext_noop("control group"),
    gettext_noop("descriptor"),
    gettext_noop("exit file"),
    gettext_noop("file"),
    gettext_noop("firewall table"),
    gettext_noop("folder"),
    gettext_noop("ids"),
    gettext_noop("image"),
    gettext_noop("interface"),
    gettext_noop("job"),
    gettext_noop("layer"),
    gettext_noop("loop device"),
    gettext_noop("monitor"),
    gettext_noop("mount"),
    gettext_noop("name"),
    gettext_noop("name server"),
    gettext_noop("names"),
    gettext_noop("network"),
    gettext_noop("network namespace"),
    gettext_noop("ports"),
    gettext_noop("process"),
    gettext_noop("relay"),
    gettext_noop("routing rule"),
    gettext_noop("rule"),
    gettext_noop("runc state"),
    gettext_noop("socket"),
    gettext_noop("volume"),
)

PROBLEMS: Final = (
    gettext_noop("belongs to no running container"),
    gettext_noop("belongs to no network"),
    gettext_noop("belong to no network"),
    gettext_noop("belong to two containers, {one} and {other}"),
    gettext_noop("says of no container whose it is"),
    gettext_noop("is none of Berth's"),
    gettext_noop("is missing"),
    gettext_noop("is missing, or has not its address and its rule"),
    gettext_noop("is missing: it may not speak"),
    gettext_noop("is missing: it leads nowhere"),
    gettext_noop("is not on its network's bridge"),
    gettext_noop("does not run"),
    gettext_noop("runs for no network"),
    gettext_noop("runs without its root file system"),
    gettext_noop("runs without its network namespace"),
    gettext_noop("runs outside of its control group"),
    gettext_noop("watches nothing that runs"),
    gettext_noop("is not in the monitors' control group"),
    gettext_noop("has no monitor"),
    gettext_noop("has more than one monitor"),
    gettext_noop("is there though the container runs"),
    gettext_noop("has ended, and nobody has written down how"),
    gettext_noop("is open in the engine"),
    gettext_noop("is left of something that the engine did"),
    gettext_noop("is not there; pull its image again"),
    gettext_noop("is damaged; pull its image again"),
    gettext_noop("has another size than when it was written; pull its image again"),
    gettext_noop("has other bytes than when it was written; pull its image again"),
    gettext_noop("is not a file of root's alone that nobody can write to"),
    gettext_noop("is partial"),
    gettext_noop("has no row; it is left alone"),
    gettext_noop("has no row"),
    gettext_noop("has a folder and no row"),
    gettext_noop("has a layer that is not ready; pull it again"),
    gettext_noop("has another size than its layers together"),
    gettext_noop("is older than anybody's lease of it"),
    gettext_noop("is running and its worker is gone"),
    gettext_noop("is {state} and does not run"),
    gettext_noop("is {state} and runs"),
    gettext_noop("is {state} and is not"),
    gettext_noop("is {state} and nobody works on it"),
    gettext_noop("runs and nobody watches for its end"),
    gettext_noop("is not in the networks that it should be in"),
    gettext_noop("is in the trash and runs"),
    gettext_noop("is in the trash and nobody knows until when"),
    gettext_noop("is in the trash and has an address or a port"),
    gettext_noop("has not the ports of the host that it should have"),
    gettext_noop("are kept though it does not run"),
)
