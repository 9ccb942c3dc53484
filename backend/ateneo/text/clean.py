"""Text that PostgreSQL can store and every tokeniser can read."""

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """Returns `text` without NUL characters, each lone surrogate as U+FFFD; all else stays as it is."""
    return _UNSTORABLE.sub(lambda found: "" if found[0] == "\x00" else "\N{REPLACEMENT CHARACTER}", text)
