"""Text that PostgreSQL can store, every tokeniser can read and a terminal can show."""

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Unicode's controls (Cc) but for line feed and tab, and its marks of direction (Bidi_Control), which show a text in an
order that it has not."""


def clean(text: str) -> str:
    """Returns `text` without NUL characters, each lone surrogate as U+FFFD; all else stays as it is."""
    return _UNSTORABLE.sub(lambda found: "" if found[0] == "\x00" else "\N{REPLACEMENT CHARACTER}", text)


def showable(text: str) -> str:
    """Returns `text` without what could drive a terminal or turn the order of what is read on it, or on a page; lines
    and tabs stay. For screens alone: what is stored stays as it is."""
    return _UNSEEN.sub("", text)


def shown_on_a_line(text: str) -> str:
    """The same on one line, as a log has it: nobody's text begins another entry."""
    return " ".join(showable(text).split("\n"))


def escaped(json: str) -> str:
    """A JSON document that says the same, and has of those characters their escapes."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json)
