r"""The part of Go's text/template that people use in `--format`.

`{{.ID}}`, `{{.State.Running}}`, `{{json .}}`, pipes, `{{range}}`, `{{if}}`/`{{else}}`, `{{with}}`, string and number
literals, and the functions of docker/cli's templates: json, join, split, lower, upper, title, pad, truncate, println,
len, index, eq, ne, not, and, or. `\t` and `\n` outside of braces are a tab and a newline, as docker/cli makes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboard.grammar.errors import EXIT_ARGUMENTS, UsageError

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|`[^`]*`|\||\(|\)|-?\d{1,18}|\.[A-Za-z0-9_.]*|[A-Za-z_]\w*)')
_MAX_DEPTH = 20
# A template is somebody's program and runs in the process that serves everybody: what it may cost is bounded.
_MAX_TEXT = 16 * 1024
_MAX_STEPS = 200_000
_MAX_VALUE = 1024 * 1024
_MAX_OUTPUT = 16 * 1024 * 1024
_MAX_PAD = 1000
_WORDS = {"if": "if", "range": "range", "with": "with"}

# The data is any JSON-like value: what a template walks over is not known before.
Data = Any


def _fail(reason: str) -> UsageError:
    return UsageError(f"template parsing error: {reason}", exit_code=EXIT_ARGUMENTS)


def as_json(value: Data) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def shown(value: Data) -> str:
    """A value as Go prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        inside = " ".join(f"{key}:{shown(value[key])}" for key in sorted(value))
        return f"map[{inside}]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(shown(item) for item in value) + "]"
    return str(value)


def _index(value: Data, *keys: Data) -> Data:
    for key in keys:
        try:
            value = value[key]
        except KeyError:
            return ""
        except (IndexError, TypeError) as error:
            msg = f"error calling index: {error}"
            raise _fail(msg) from error
    return value


def _split(text: Data, separator: Data) -> list[str]:
    return str(text).split(str(separator)) if separator else list(str(text))


FUNCTIONS: dict[str, Callable[..., Data]] = {
    "json": as_json,
    "join": lambda items, separator: str(separator).join(shown(item) for item in items or ()),
    "split": _split,
    "lower": lambda text: str(text).lower(),
    "upper": lambda text: str(text).upper(),
    "title": lambda text: str(text).title(),
    "pad": lambda text, before, after: " " * min(int(before), _MAX_PAD) + str(text) + " " * min(int(after), _MAX_PAD),
    "truncate": lambda text, limit: str(text)[: int(limit)],
    "println": lambda *values: " ".join(shown(value) for value in values) + "\n",
    "print": lambda *values: "".join(shown(value) for value in values),
    "len": len,
    "index": _index,
    "eq": lambda first, *others: any(first == other for other in others),
    "ne": lambda first, second: first != second,
    "not": lambda value: not value,
    "and": lambda *values: next((v for v in values if not v), values[-1]),
    "or": lambda *values: next((v for v in values if v), values[-1]),
}


@dataclass(slots=True)
class _Node:
    kind: str  # "text", "value", "if", "range", "with"
    text: str = ""
    tokens: list[str] = field(default_factory=list)
    body: list[_Node] = field(default_factory=list)
    other: list[_Node] = field(default_factory=list)


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    position = depth = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if not match:
            msg = f"unexpected {text[position:].strip()[:20]!r} in command"
            raise _fail(msg)
        found.append(match[1])
        position = match.end()
        depth += (match[1] == "(") - (match[1] == ")")
        if depth > _MAX_DEPTH:
            msg = "too deep"
            raise _fail(msg)
    return found


def _pieces(text: str) -> list[tuple[bool, str]]:
    """(is an action, text), with the white space cut that `{{-` and `-}}` ask for."""
    pieces: list[tuple[bool, str]] = []
    rest, cut = text, False
    while True:
        plain, opened, rest = rest.partition("{{")
        plain = plain.lstrip() if cut else plain
        if not opened:
            return [*pieces, (False, plain)]
        action, closed, rest = rest.partition("}}")
        if not closed:
            msg = "unclosed action"
            raise _fail(msg)
        cuts_before = action[:1] == "-" and action[1:2].isspace()
        cut = action[-1:] == "-" and action[-2:-1].isspace()
        action = action[1:] if cuts_before else action
        action = action[:-1] if cut else action
        pieces += [(False, plain.rstrip() if cuts_before else plain), (True, action.strip())]


def _tree(text: str) -> list[_Node]:
    root = _Node("root")
    stack = [(root, root.body)]
    for is_action, piece in _pieces(text):
        if not is_action:
            stack[-1][1].append(_Node("text", text=piece))
            continue
        tokens = _tokens(piece)
        if not tokens:
            msg = "missing value for command"
            raise _fail(msg)
        _place(tokens, stack)
    if len(stack) > 1:
        msg = "unexpected EOF"
        raise _fail(msg)
    return root.body


def _place(tokens: list[str], stack: list[tuple[_Node, list[_Node]]]) -> None:
    word = tokens[0]
    node, body = stack[-1]
    if word in _WORDS:
        child = _Node(word, tokens=tokens[1:])
        body.append(child)
        stack.append((child, child.body))
        if len(stack) > _MAX_DEPTH:
            msg = "too deep"
            raise _fail(msg)
    elif word in {"else", "end"}:
        if len(stack) == 1:
            msg = f"unexpected {{{{{word}}}}}"
            raise _fail(msg)
        stack.pop()
        if word == "else":
            stack.append((node, node.other))
    else:
        body.append(_Node("value", tokens=tokens))


class Template:
    """A parsed template. `render` may be called for many rows."""

    def __init__(self, text: str) -> None:
        if len(text) > _MAX_TEXT:
            msg = "the template is too long"
            raise _fail(msg)
        self._steps = self._written = 0
        self._nodes = _tree(text.replace("\\t", "\t").replace("\\n", "\n"))

    def render(self, data: Data) -> str:
        """The text for `data`.

        Raises:
            UsageError: a field or a function that is not there; it costs too much.
        """
        return self._all(self._nodes, data)

    def _count(self, written: int) -> None:
        self._steps += 1
        self._written += written
        if self._steps > _MAX_STEPS or self._written > _MAX_OUTPUT:
            msg = "the template does too much"
            raise _fail(msg)

    def _render(self, node: _Node, data: Data) -> str:
        self._count(len(node.text))
        if node.kind == "text":
            return node.text
        value = self._evaluate(node.tokens, data)
        if node.kind == "value":
            text = shown(value)
            self._count(len(text))
            return text
        if node.kind == "range":
            items = _items(value)
            return "".join(self._all(node.body, item) for item in items) if items else self._all(node.other, data)
        inner = value if node.kind == "with" else data
        return self._all(node.body, inner) if value else self._all(node.other, data)

    def _all(self, nodes: Sequence[_Node], data: Data) -> str:
        return "".join(self._render(node, data) for node in nodes)

    def _evaluate(self, tokens: list[str], data: Data) -> Data:
        stages: list[list[str]] = [[]]
        depth = 0
        for part in tokens:
            depth += (part == "(") - (part == ")")
            if part == "|" and depth == 0:
                stages.append([])
            else:
                stages[-1].append(part)
        piped: list[Data] = []
        for stage in stages:
            piped = [self._call(stage, data, piped)]
        return piped[0]

    def _call(self, stage: list[str], data: Data, piped: list[Data]) -> Data:
        if not stage:
            msg = "missing value for command"
            raise _fail(msg)
        word = stage[0]
        if word in FUNCTIONS:
            try:
                result = FUNCTIONS[word](*self._operands(stage[1:], data), *piped)
            except (TypeError, ValueError, AttributeError, IndexError) as error:
                msg = f"error calling {word}: wrong arguments"
                raise _fail(msg) from error
            self._count(len(result) if isinstance(result, str) else 0)
            if isinstance(result, str | list) and len(result) > _MAX_VALUE:
                msg = f"error calling {word}: the result is too long"
                raise _fail(msg)
            return result
        operands = self._operands(stage, data)
        if len(operands) != 1 or piped:
            msg = f'can\'t give argument to non-function "{word}"'
            raise _fail(msg)
        return operands[0]

    def _operands(self, tokens: list[str], data: Data) -> list[Data]:
        found: list[Data] = []
        rest = list(tokens)
        while rest:
            part = rest.pop(0)
            if part != "(":
                found.append(_operand(part, data))
                continue
            inner, depth = [], 1
            while rest and depth:
                part = rest.pop(0)
                depth += (part == "(") - (part == ")")
                inner.append(part)
            if depth:
                msg = "unclosed left paren"
                raise _fail(msg)
            found.append(self._evaluate(inner[:-1], data))
        return found


def _items(value: Data) -> list[Data]:
    if isinstance(value, dict):
        return list(value.values())
    if value is None or isinstance(value, list | tuple):
        return list(value or ())
    msg = f"range can't iterate over {shown(value)}"
    raise _fail(msg)


def _string(part: str) -> str:
    try:
        return str(json.loads(part))
    except ValueError as error:
        msg = f"bad string {part[:40]}"
        raise _fail(msg) from error


def _operand(part: str, data: Data) -> Data:
    if part.startswith("."):
        return _field(part, data)
    if part.startswith('"'):
        return _string(part)
    if part.startswith("`"):
        return part[1:-1]
    if part in {"true", "false"}:
        return part == "true"
    if part.lstrip("-").isdigit():
        return int(part)
    msg = f'function "{part}" not defined'
    raise _fail(msg)


def _field(path: str, data: Data) -> Data:
    for name in (part for part in path.split(".") if part):
        if not isinstance(data, dict) or name not in data:
            msg = f'template: :1:2: executing "" at <{path}>: can\'t evaluate field {name}'
            raise UsageError(msg, exit_code=EXIT_ARGUMENTS)
        data = data[name]
    return data
