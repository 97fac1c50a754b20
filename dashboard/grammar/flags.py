"""Flags as pflag reads them: `--name value`, `--name=value`, `-itd`, `-m512m`, `-m=512m`, `--`.

Where a command takes a program after its image (`run`, `create`), flags stop at the first argument.
Source: github.com/spf13/pflag, behaviour of FlagSet.Parse and its error texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboard.grammar.errors import PROGRAM, UsageError, ValueRefused
from dashboard.grammar.values import read_bool, read_int

# A flag's value has the type that its reader gives; the builders in `commands` know which.
Values = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """`read` turns the text into the value; None marks a switch. `repeats` gathers the values in a tuple.
    `refused`: Docker has it and Berth does not, for this reason.
    """

    name: str
    short: str = ""
    read: Callable[[str], object] | None = None
    kind: str = "string"
    help: str = ""
    repeats: bool = False
    refused: str = ""
    is_switch: bool = False  # though it has a reader, which then gets "true" where no value is said
    is_hidden: bool = False  # from the help

    @property
    def shown(self) -> str:
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


def switch(name: str, short: str = "", text: str = "") -> Flag:
    return Flag(name=name, short=short, help=text, kind="")


def string(name: str, short: str = "", text: str = "") -> Flag:
    return Flag(name=name, short=short, help=text, read=str)


def number(name: str, short: str = "", text: str = "") -> Flag:
    return Flag(name=name, short=short, help=text, read=read_int, kind="int")


@dataclass(slots=True)
class FlagSet:
    command: str
    flags: Sequence[Flag]
    stops_at_argument: bool = False
    _values: Values = field(default_factory=dict)

    def parse(self, words: Sequence[str]) -> tuple[Values, list[str]]:
        """Values by flag name, and the arguments. `help` is in the values when `--help` stands among the flags.

        Raises:
            UsageError: an unknown flag, a missing or a bad value.
        """
        self._values = {}
        rest = list(words)
        arguments: list[str] = []
        while rest:
            word = rest.pop(0)
            if word == "--":
                arguments += rest
                break
            if not word.startswith("-") or word == "-":
                arguments.append(word)
                if self.stops_at_argument:
                    arguments += rest
                    break
            elif word.startswith("--"):
                self._long(word[2:], rest)
            else:
                self._shorts(word[1:], rest)
        return self._values, arguments

    def _fail(self, message: str) -> UsageError:
        return UsageError(f"{message}\nSee '{self.command} --help'.")

    def _long(self, text: str, rest: list[str]) -> None:
        name, equals, value = text.partition("=")
        if name == "help":
            self._values["help"] = True
            return
        flag = next((f for f in self.flags if f.name == name), None)
        if flag is None:
            msg = f"unknown flag: --{name}"
            raise self._fail(msg)
        if equals:
            self._store(flag, value)
        elif flag.read is None or flag.is_switch:
            self._store(flag, "true")
        elif rest:
            self._store(flag, rest.pop(0))
        else:
            msg = f"flag needs an argument: --{name}"
            raise self._fail(msg)

    def _shorts(self, text: str, rest: list[str]) -> None:
        bundle = text
        while text:
            letter, text = text[0], text[1:]
            flag = next((f for f in self.flags if f.short == letter), None)
            if flag is None:
                msg = f"unknown shorthand flag: '{letter}' in -{bundle}"
                raise self._fail(msg)
            if text.startswith("="):
                self._store(flag, text[1:])
                return
            if flag.read is None or flag.is_switch:
                self._store(flag, "true")
            elif text:
                self._store(flag, text)
                return
            elif rest:
                self._store(flag, rest.pop(0))
            else:
                msg = f"flag needs an argument: '{letter}' in -{bundle}"
                raise self._fail(msg)

    def _store(self, flag: Flag, text: str) -> None:
        if flag.refused:
            msg = f"{PROGRAM} does not take {flag.shown}: {flag.refused}"
            raise self._fail(msg)
        key = flag.name.replace("-", "_")
        try:
            value = (flag.read or read_bool)(text)
        except ValueRefused as error:
            msg = f'invalid argument "{text}" for "{flag.shown}" flag: {error}'
            raise self._fail(msg) from error
        self._values[key] = (*self._values.get(key, ()), value) if flag.repeats else value
