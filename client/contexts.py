"""Berths on other machines: where they are and what lets us in, in a file of one's own (as Docker's contexts).

`--host URL`, or BERTH_HOST, names one for this command, with the token in BERTH_TOKEN or that of the context with the same address;
`--context NAME`, or BERTH_CONTEXT, one that is kept; else the one that `berth context use` chose. Without any of these: this machine.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from client.errors import Failed
from client.kept import contexts_file

LOCAL = "local"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
USAGE = """\
Usage:  berth context COMMAND

Keep addresses of Berths on other machines

Commands:
  create NAME --host URL   Keep an address; the access token is read from BERTH_TOKEN, a pipe, or the terminal
  ls                       List them; the chosen one has a star
  rm NAME [NAME...]        Forget them
  use NAME                 Work with this one from now on ('local': this machine)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    name: str
    host: str
    token: str


def checked_host(text: str) -> str:
    """`https://berth.example:8443`, without anything behind it.

    Raises:
        Failed: it is no such address.
    """
    parts = urlsplit(text if "://" in text else f"https://{text}")
    try:
        is_plain = parts.port is None or parts.port > 0
    except ValueError:
        is_plain = False
    if (
        not is_plain
        or parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.path.strip("/")
        or parts.query
        or parts.username
    ):
        msg = f"'{text}' is not the address of a Berth, such as https://berth.example."
        raise Failed(msg)
    return f"{parts.scheme}://{parts.netloc}"


class Contexts:
    """What is kept. Every change writes the whole file anew, for its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._current, self._all = LOCAL, dict[str, Context]()
        try:
            said = json.loads(path.read_text("utf-8"))
            self._all = {
                name: Context(name=name, host=str(one["host"]), token=str(one["token"]))
                for name, one in said["contexts"].items()
            }
            self._current = said["current"] if said["current"] in self._all else LOCAL
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            msg = f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not what berth context writes'}."
            raise Failed(msg) from error

    @property
    def current(self) -> str:
        return self._current

    def all(self) -> list[Context]:
        return [self._all[name] for name in sorted(self._all)]

    def find(self, name: str) -> Context:
        """Raises Failed: there is none of that name."""
        if name not in self._all:
            msg = f"There is no context '{name}'. See 'berth context ls'."
            raise Failed(msg)
        return self._all[name]

    def at(self, host: str) -> Context | None:
        return next((one for one in self.all() if one.host == host), None)

    def keep(self, context: Context) -> None:
        self._all[context.name] = context
        self._write()

    def forget(self, name: str) -> None:
        del self._all[self.find(name).name]
        if self._current == name:
            self._current = LOCAL
        self._write()

    def use(self, name: str) -> None:
        self._current = name if name == LOCAL else self.find(name).name
        self._write()

    def _write(self) -> None:
        said = {name: {"host": one.host, "token": one.token} for name, one in self._all.items()}
        text = json.dumps({"current": self._current, "contexts": said}, indent=1)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = self._path.with_suffix(".new")
            partial.unlink(missing_ok=True)
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
                out.write(text)
            partial.replace(self._path)
        except OSError as error:
            msg = f"{self._path} cannot be written: {error.strerror}."
            raise Failed(msg) from error


def take_flags(argv: Sequence[str]) -> tuple[str, str, list[str]]:
    """(host, context, the words without these two flags), which stand before the command; `--team` may be among them.

    Raises:
        Failed: no value behind one.
    """
    found, kept, left = {"--host": "", "--context": ""}, list[str](), list(argv)
    while left and left[0].partition("=")[0] in {*found, "--team"}:
        flag, equals, value = left.pop(0).partition("=")
        if not equals:
            if not left:
                msg = f"flag needs an argument: {flag}"
                raise Failed(msg, exit_code=125)
            value = left.pop(0)
        if flag in found:
            found[flag] = value
        else:
            kept += [flag, value]
    return found["--host"], found["--context"], [*kept, *left]


def choose(host: str, name: str, environment: Mapping[str, str]) -> Context | None:
    """Which Berth a command is for; None is the one of this machine.

    Raises:
        Failed: an address that is none, a name that is not kept, or no token.
    """
    host, name = (
        host or ("" if name else environment.get("BERTH_HOST", "")),
        name or environment.get("BERTH_CONTEXT", ""),
    )
    contexts = Contexts(Path(contexts_file(environment)))
    if host:
        at = checked_host(host)
        kept = contexts.at(at)
        token = environment.get("BERTH_TOKEN", "") or (kept.token if kept else "")
        if not token:
            msg = f"There is no access token for {at}: set BERTH_TOKEN, or keep one with 'berth context create NAME --host {at}'."
            raise Failed(msg)
        return Context(name=at, host=at, token=token)
    chosen = name or contexts.current
    if chosen == LOCAL:
        return None
    found = contexts.find(chosen)
    return Context(name=chosen, host=found.host, token=environment.get("BERTH_TOKEN", "") or found.token)


def run(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """`berth context …`. The exit code.

    Raises:
        Failed: with a sentence.
    """
    verb, rest = (words[0], list(words[1:])) if words else ("", [])
    contexts = Contexts(Path(contexts_file(environment)))
    if verb == "create":
        return _create(contexts, rest, environment)
    if verb == "ls" and not rest:
        _list(contexts)
        return 0
    if verb == "use" and len(rest) == 1:
        contexts.use(rest[0])
        print(rest[0])
        return 0
    if verb == "rm" and rest:
        for name in rest:
            contexts.forget(name)
            print(name)
        return 0
    asked = verb in {"", "--help", "help"}
    print(USAGE, end="", file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 1


def _create(contexts: Contexts, words: list[str], environment: Mapping[str, str]) -> int:
    host, names = "", list[str]()
    while words:
        word = words.pop(0)
        if word.startswith("--host="):
            host = word.partition("=")[2]
        elif word == "--host" and words:
            host = words.pop(0)
        else:
            names.append(word)
    if len(names) != 1 or not host or not _NAME.match(names[0]) or names[0] == LOCAL:
        msg = f"'berth context create NAME --host URL': a name of letters, digits, '_', '.' and '-', not '{LOCAL}'."
        raise Failed(msg)
    contexts.keep(Context(name=names[0], host=checked_host(host), token=_token(environment)))
    print(names[0])
    return 0


def _token(environment: Mapping[str, str]) -> str:
    """Never from the words of a command: those are seen by everybody on the machine."""
    if said := environment.get("BERTH_TOKEN", ""):
        return said
    if sys.stdin.isatty():
        import getpass

        said = getpass.getpass("Access token: ").strip()
    else:
        said = sys.stdin.readline().strip()
    if not said or not said.isascii() or not said.isprintable():
        msg = "An access token is needed. Make one on your own page there (Preferences), or with 'berth token create'."
        raise Failed(msg)
    return said


def _list(contexts: Contexts) -> None:
    rows = [("NAME", "HOST"), (LOCAL, "this machine"), *((one.name, one.host) for one in contexts.all())]
    width = max(len(name) for name, _host in rows) + 2
    for name, host in rows:
        star = " *" if name == contexts.current else ""
        print(f"{name + star:<{width + 3}}{host}")
