"""A person at another machine: the command line with an access token."""

from __future__ import annotations

import re
import subprocess

from tests.support.server import ROOT


class Somebody:
    def __init__(self, berth, token: str, home) -> None:
        self.words = [str(ROOT / "script" / "berth"), "--host", berth.url]
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "BERTH_TOKEN": token}

    def say(self, *words: str, **how) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*self.words, *words],
            env=self.environment,
            **({} if "input" in how else {"stdin": subprocess.DEVNULL}),
            **how,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def ok(self, *words: str, **how) -> str:
        done = self.say(*words, **how)
        assert done.returncode == 0, done
        return done.stdout

    def refused(self, sentence: str, *words: str) -> None:
        done = self.say(*words)
        assert done.returncode != 0, done
        assert re.search(sentence, done.stderr + done.stdout), done
