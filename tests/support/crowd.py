"""Many who do something in the same moment, each in a thread with a database connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from django.db import connections

END_S = 120.0


def at_once(acts: Sequence[Callable[[], object]]) -> list[object]:
    """What each returned or raised, in the order of `acts`; they begin together."""
    start = threading.Barrier(len(acts))
    outcomes: list[object] = [None] * len(acts)

    def one(number: int) -> None:
        try:
            start.wait()
            outcomes[number] = acts[number]()
        except Exception as error:
            outcomes[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(END_S)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    return outcomes
