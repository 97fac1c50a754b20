"""`script/bench [WORK…]`: one line a work, `WORK ours=S docker=S ratio=R`. docs/performance.md explains each."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from tests.bench.bench import Bench, free_space_needed, say
from tests.bench.works import WORKS


def main() -> int:
    words = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    words.add_argument("works", nargs="*", metavar="WORK", help=f"of {', '.join(WORKS)}; all when none is named")
    words.add_argument("--rounds", type=int, default=7, help="times that pull and rmi are measured (7)")
    words.add_argument("--share", type=float, default=1.0, help="size of the image: 0.05 to try the bench itself")
    chosen = words.parse_args()
    unknown = [name for name in chosen.works if name not in WORKS]
    if unknown:
        words.error(f"there is no work '{unknown[0]}'; there are {', '.join(WORKS)}")
    free_space_needed("/var/lib", int(10e9 * chosen.share))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is cleaned up
    failed = 0
    with Bench(rounds=chosen.rounds, share=chosen.share) as bench:
        for name in chosen.works or WORKS:
            say(f"{name} (load {os.getloadavg()[0]:.1f})")
            try:
                print(WORKS[name](bench).line(), flush=True)
            except (RuntimeError, OSError, TimeoutError) as error:
                say(f"{name} failed: {error}")
                failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
