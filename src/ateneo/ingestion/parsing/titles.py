"""What a file says of itself: its title, where it is one, and the metadata worth keeping."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

_NO_TITLE = re.compile(
    r"\W*(?:untitled|unspecified|anonymous|unknown|(?:documento? )?sin t[ií]tulo|document[oe]?|libro|book|slide|sheet"
    r"|page|presentaci[oó]n(?: de powerpoint)?|powerpoint presentation|diapositiva|hoja|p[aá]gina|tabla de contenidos?"
    r"|[ií]ndice|contents|table of contents)[\W\d]*|microsoft (?:word|powerpoint|excel) - .*"
    r"|.*\.(?:indd|docx?|dotx?|xlsx?|pptx?|pdf|qx[pd]|cdr|ai|pub|od[tsp]|rtf|txt|pages|key)",
    re.IGNORECASE,
)
_LONGEST_TITLE = 500
_LONGEST_VALUE = 2000
_MOST_VALUES = 100
METADATA = ("authors", "subject", "keywords", "language", "created_at", "modified_at")


def title_of(metadata: Mapping[str, Any]) -> str:
    return text_of(metadata, "title")


def text_of(metadata: Mapping[str, Any], key: str) -> str:
    value = " ".join(str(metadata.get(key) or "").split())[:_LONGEST_TITLE].strip()
    return "" if _NO_TITLE.fullmatch(value) or not any(map(str.isalnum, value)) else value


def _shortened(value: Any) -> Any:
    """Metadata travels with every passage: it is no place for a file's text."""
    if isinstance(value, list):
        return [_shortened(one) for one in value[:_MOST_VALUES]]
    return value[:_LONGEST_VALUE] if isinstance(value, str) else value


def kept(metadata: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """What is worth keeping of it: what says something, shortened."""
    values = {name: _shortened(metadata[name]) for name in names if metadata.get(name)}
    return {name: value for name, value in values.items() if not _NO_TITLE.fullmatch(str(value))}
