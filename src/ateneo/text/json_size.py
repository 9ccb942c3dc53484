"""How deep and how large JSON of others may be, wherever it comes in: metadata and filters, by HTTP, Python and MCP."""

from collections.abc import Mapping
from typing import Any

from ateneo.errors import BadArgument
from ateneo.i18n import number, tr

DEEPEST = 32
"""Objects and lists in each other."""
MOST_VALUES = 10_000
_SHOWN_CHARS = 40


def check_size(name: str, value: object, most: int = MOST_VALUES) -> None:
    """Raises BadArgument where `value` is nested deeper than DEEPEST or has more than `most` values; empty objects and
    lists are values, too. What is in itself is nested without end."""
    level, values = [value], 0
    for _ in range(DEEPEST + 1):
        inner = [one for one in level if isinstance(one, Mapping | list | tuple) and one]
        values += len(level) - len(inner)
        if values > most or sum(map(len, inner)) > most - values:
            rule = tr(f"valores en total: hasta {number(most)}", f"values in all: up to {number(most)}")
            raise BadArgument(name=name, value=_beginning(value), rule=rule)
        if not inner:
            return
        level = [one for item in inner for one in (item.values() if isinstance(item, Mapping) else item)]
    raise BadArgument(name=name, value=_beginning(value), rule=depth_rule())


def depth_rule() -> str:
    return tr(f"hasta {DEEPEST} objetos o listas uno dentro de otro", f"up to {DEEPEST} objects or lists in each other")


def _beginning(value: Any) -> str:
    """Not by repr, which fails for what is too deep."""
    names = ", ".join(str(key) for key in list(value)[:5]) if isinstance(value, Mapping) else type(value).__name__
    return ascii(names[:_SHOWN_CHARS])
