"""Text that PostgreSQL can store, every tokeniser can read and a terminal can show."""

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """Returns `text` without NUL characters, each lone surrogate as U+FFFD; all else stays as it is."""
    return _UNSTORABLE.sub(lambda found: "" if found[0] == "\x00" else "\N{REPLACEMENT CHARACTER}", text)


def showable(text: str) -> str:
    """Returns `text` without what could move a terminal's cursor or change the terminal; lines and tabs stay."""
    return _CONTROLS.sub("", text)
