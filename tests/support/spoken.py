"""What the source can say to people: the texts of errors made on purpose, read from its syntax."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from engine import errors

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
MAKERS = FAMILIES | {"reject", "_invalid", "kind", "__init__"}  # `kind`: one of two families
COMPUTED = "Xy 1"
Scope = dict[str, list[ast.expr]]
# The same words in every language, since they are Docker's.
DOCKERS = (
    "No such container: …",
    "Container … is not running",
    "Container … is already paused",
    'Cannot update container …: Container is marked for removal and cannot be "update".',
    "Container … is not paused",
    "Container … is paused, unpause the container before exec",
    "Cannot kill container: …: Container … is not running",
    "You cannot remove a running container …. Stop the container before attempting removal or force remove",
    (
        'Conflict. The container name "/…" is already in use by container "…". '
        "You have to remove (or rename) that container to be able to reuse that name."
    ),
    "no matching manifest for … in the manifest list entries of … (it has: …)",
    "image … was found but does not match the wanted platform: wanted …, actual: …. no matching manifest for …",
    "manifest for … not found: …",
    "pull access denied for …, repository does not exist or may require 'docker login': …",
    "invalid repository name (…), cannot specify 64-byte hexadecimal strings",
    'exec: "…": exec format error',
    "unable to find user …: a user is given as name, uid, name:group or uid:gid",
    "unable to find user …: no matching entries in passwd file",
    "unable to find group …: no matching entries in group file",
    "unable to find … …: uids and gids must be in range 0-…",
    "invalid hostname: '…'",
    "invalid environment variable: …",
    "the working directory '…' is invalid, it needs to be an absolute path",
    "No command specified.",
    "Invalid signal: …",
    "Minimum memory limit allowed is …MB",
    "range of CPUs is from 0.01 to …, as there are only … CPUs available",
    "container … is not running",
    'chdir to cwd ("…") failed: …',
    "the … '…' is invalid, it needs to be an absolute path",
    "invalid mount path: '…' mount path must be absolute",
    "invalid specification: destination can't be '/'",
    "bind source path does not exist: …",
    "volume is in use - […]",
    "Bind for …:… failed: port is already allocated",
    'unknown capability: "…"',
    "invalid ulimit type: …",
    "The … allowed cpu-shares is …",
    "The minimum allowed cpu-shares is …",
    "The maximum allowed cpu-shares is …",
    "Requested CPUs are not available - requested …, available: …",
    "Invalid value … for cpuset cpus",
    "You should always set the Memory limit when using Memoryswap limit, see usage",
    "Minimum memoryswap limit should be larger than memory limit, see usage",
    "Minimum memory reservation allowed is …MB",
    "Minimum memory limit can not be less than memory reservation limit, see usage",
    "failed to bind host port …:…/…: …",
    "failed to bind host port […]:…/…: …",
)


def is_one_of(text: str, known: tuple[str, ...]) -> bool:
    return text.replace(COMPUTED, "…") in known


def without_dockers(text: str) -> str:
    """What is left of a text of a page when Docker's own lines are taken out of it."""
    for line in DOCKERS:
        text = re.sub(r"\S+?".join(map(re.escape, line.split("…"))), "", text)
    return text


def texts(node: ast.expr, scope: Scope) -> list[str]:  # noqa: PLR0911 - a line a kind
    """The texts that an expression can be, with `COMPUTED` in the place of what is not known before it runs."""
    match node:
        case ast.Constant(value=str(text)):
            return [re.sub(r"\{\w+\}", COMPUTED, text)]
        case ast.JoinedStr(values=parts):
            return ["".join(chosen) for chosen in product(*(texts(part, scope) for part in parts))]
        case ast.FormattedValue(value=value):
            return texts(value, scope) or [COMPUTED]
        case ast.IfExp(body=one, orelse=other):
            both = texts(one, scope), texts(other, scope)
            return both[0] + both[1] if all(both) else []
        case ast.Subscript(value=ast.Name() as whole):
            return texts(whole, scope)
        case ast.Name(id=name):
            rest = {other: values for other, values in scope.items() if other != name}
            found = [texts(value, rest) for value in scope.get(name, ())]
            return [text for some in found for text in some] if all(found) else []
    return []


def _scope(function: ast.AST) -> Scope:
    found: Scope = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node.value)
    return found


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _scoped(tree: ast.AST) -> Iterator[tuple[ast.AST, Scope]]:
    """Every node once, with what the names of its function may be."""
    inside: set[int] = set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            scope = _scope(function)
            for node in ast.walk(function):
                if id(node) not in inside:
                    inside.add(id(node))
                    yield node, scope
    yield from ((node, {}) for node in ast.walk(tree) if id(node) not in inside)


def error_texts(path: Path) -> Iterator[str]:
    """First arguments of errors of the engine's families, and of the functions that make them."""
    for node, scope in _scoped(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and _name(node.func) in MAKERS and node.args:
            found = texts(node.args[1 if _name(node.func) == "_invalid" else 0], scope)
            yield from (text for text in found if " " in text.strip())


# Arguments that are for logs, for `--help`, or that gettext has.
SILENT = {"debug", "info", "warning", "error", "exception", "critical", "add_argument", "_", "gettext", "gettext_lazy"}
SHOWN = {"message", "error"}


def sentences(path: Path) -> Iterator[str]:
    """Everything else that ends as a sentence does, or is given on as a message; no documentation."""
    tree = ast.parse(path.read_text())
    silent: set[int] = set()
    for node in ast.walk(tree):
        is_documentation = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_documentation or (isinstance(node, ast.Call) and _name(node.func) in SILENT):
            silent |= {id(below) for below in ast.walk(node)}
        if isinstance(node, ast.JoinedStr):
            silent |= {id(part) for part in node.values}
    for node, scope in _scoped(tree):
        if isinstance(node, ast.keyword) and node.arg in SHOWN:
            yield from (text for text in texts(node.value, scope) if text[:1].isupper())
        elif isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in silent:
            yield from (text for text in texts(node, scope) if " " in text.strip() and text.endswith((".", "?", "!")))
