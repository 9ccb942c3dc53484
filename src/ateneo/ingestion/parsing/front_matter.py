"""What a Markdown file says of itself before its text: simple YAML between two lines of three hyphens."""

import re
from collections.abc import Sequence

_MOST_LINES = 100
_FIELD = re.compile(r"([\w-]{1,80}):(?:[ \t]|$)")
_QUOTES = "\"'"

Value = str | list[str]


def read_front_matter(lines: list[str]) -> tuple[dict[str, Value], list[str]]:
    """Returns the fields, their names in lower case, and the lines that follow them; no fields and all of the lines
    where there are none: a line of hyphens is a rule, too, and then what follows it is text."""
    end = _end(lines)
    fields: dict[str, list[str]] = {}
    values: list[str] | None = None
    for line in lines[1:end]:
        found = _FIELD.match(line)
        if found:
            values = fields.setdefault(found[1].lower(), [])
            values.append(line[found.end() :].strip())
        elif values is not None and line[:1] in " \t-" and line.strip():
            values.append(line.strip())
        elif not line.startswith("#"):
            return {}, lines
    return {key: _value(values) for key, values in fields.items()}, lines[end + 1 :] if fields else lines


def _end(lines: Sequence[str]) -> int:
    """Where the line stands that ends the front matter; 0 where there is none."""
    if lines[0].rstrip() != "---":
        return 0
    return next((at for at, line in enumerate(lines[1:_MOST_LINES], 1) if line.rstrip() in ("---", "...")), 0)


def _value(lines: Sequence[str]) -> Value:
    first, *others = lines
    if not first and others and all(line.startswith("-") for line in others):
        return [_unquoted(line[1:]) for line in others]
    if first.startswith("[") and first.endswith("]") and not others:
        return [_unquoted(item) for item in first[1:-1].split(",") if item.strip()]
    return _unquoted(" ".join(line for line in lines if line not in ("|", ">", "|-", ">-")))


def _unquoted(text: str) -> str:
    return text.strip().strip(_QUOTES)
