"""Tables as Docker aligns them. Source: Go text/tabwriter with minwidth 10, padding 3, as docker/cli uses it."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.grammar.template import Template, as_json

MIN_WIDTH = 10
PADDING = 3

Row = dict[str, object]


def align(lines: Sequence[Sequence[str]], *, min_width: int = MIN_WIDTH) -> str:
    """Cells to text, one line a row. The last cell of a line is not padded."""
    columns = max((len(line) for line in lines), default=0)
    widths = [0] * columns
    for line in lines:
        for index, cell in enumerate(line[:-1]):
            widths[index] = max(widths[index], len(cell) + PADDING, min_width)
    return "\n".join(
        "".join([cell.ljust(widths[index]) for index, cell in enumerate(line[:-1])] + list(line[-1:])) for line in lines
    )


def ellipsis(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def render_table(rows: Sequence[Row], *, headers: dict[str, str], columns: Sequence[str], format_text: str = "") -> str:
    """Rows in the shape that `--format` asks for; without it, a table of `columns`.

    Args:
        rows: one dict a line; the keys are the names that templates use (`ID`, `Image`).
        headers: the title of each key.
        columns: the keys that stand in the table without `--format`.
        format_text: "", "table", "json", "table TEMPLATE" or a template.

    Raises:
        UsageError: the template cannot be read, or names a field that is not there.
    """
    words = format_text.split(None, 1)
    if not words or format_text.strip() == "table":
        return align([[headers[key] for key in columns], *([str(row[key]) for key in columns] for row in rows)])
    if format_text.strip() == "json":
        return "\n".join(as_json(row) for row in rows)
    if words[0] == "table" and len(words) > 1:
        template = Template(words[1])
        titles: Row = dict(headers)
        lines = [template.render(titles), *(template.render(row) for row in rows)]
        return align([line.split("\t") for line in lines])
    template = Template(format_text)
    return "\n".join(template.render(row) for row in rows)
