"""What commands show: rows as a table for people, or as JSON for programs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rich.table import Table
from rich.text import Text

from ateneo.cli.json_output import print_json
from ateneo.cli.runtime import err, out

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column: its heading, and a row's cell. `right`: figures. `whole`: its cells are never broken."""

    heading: str
    cell: Callable[[Row], str | Text]
    right: bool = False
    whole: bool = False


def say(text: str, style: str = "") -> None:
    """On stdout, its lines as long as they are."""
    out.print(text, style=style, soft_wrap=True)


def warn(text: str) -> None:
    err.print(f"! {text}", style="yellow", soft_wrap=True)


def table(rows: Iterable[Row], columns: Sequence[Column[Row]], **style: Any) -> Table:
    made = Table(**{"box": None, "header_style": "bold", **style})
    for one in columns:
        justify: Any = "right" if one.right else "left"
        made.add_column(one.heading, justify=justify, overflow="ellipsis" if one.whole else "fold", no_wrap=one.whole)
    for row in rows:
        made.add_row(*(one.cell(row) for one in columns))
    return made


def facts(rows: Mapping[str, str]) -> Table:
    """Names and what they are, but for what is nothing."""
    columns: list[Column[tuple[str, str]]] = [
        Column("", lambda one: Text(one[0], style="dim"), whole=True),
        Column("", lambda one: one[1]),
    ]
    return table([one for one in rows.items() if one[1]], columns, show_header=False, pad_edge=False)


def show_rows(rows: Sequence[Row], columns: Sequence[Column[Row]], *, as_json: bool, empty: str) -> None:
    """A list: JSON on stdout, a table, or the sentence `empty` on stderr."""
    if as_json:
        print_json(rows)
    elif rows:
        out.print(table(rows, columns))
    else:
        err.print(empty)
