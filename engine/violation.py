"""One thing that is not as it must be. The invariants are explained in docs/reliability.md.

I1  every image that is READY is whole              I6  nothing temporary is older than its lease
I2  nothing partial has a final name                I7  what is counted is what is there
I3  nothing is left of what does not run            I8  what was written down is unbroken
I4  rows say what is so                             I9  nothing reaches out of its own place
I5  one monitor for each container and command      I10 the engine itself keeps nothing
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Violation:
    """`I3 mount /data/… belongs to no running container`: the four fields in this order.

    Two looks at one thing give equal values: no times, no counts that change. `is_orphan`: it has no row, and is
    somebody's work perhaps, so that nobody but a person decides about it (F25).
    """

    invariant: str
    kind: str
    name: str
    problem: str
    container_id: str = ""
    is_orphan: bool = False

    def __str__(self) -> str:
        return f"{self.invariant} {self.kind} {self.name} {self.problem}"
