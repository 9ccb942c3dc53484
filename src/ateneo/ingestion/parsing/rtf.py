"""What was deleted in an RTF file whose changes are tracked, taken out."""

import re

_TOKEN = re.compile(
    rb"(?P<word>\\(?P<name>[a-zA-Z]{1,32})(?P<value>-?\d{1,10})? ?)|\\'[0-9a-fA-F]{2}|\\[^a-zA-Z]|[{}]|[^\\{}]+",
    re.DOTALL,
)
_LETTERS = (b"u", b"tab", b"line", b"emdash", b"endash", b"lquote", b"rquote", b"ldblquote", b"rdblquote", b"bullet")
"""Control words that are text."""


def without_deleted(data: bytes) -> bytes:
    """The file without the text that is marked as deleted (`\\deleted`), its groups and other control words kept."""
    if b"\\deleted" not in data:
        return data
    kept: list[bytes] = []
    deleted, outer = False, []
    for token in _TOKEN.finditer(data):
        name = token["name"]
        if name == b"deleted":
            deleted = token["value"] != b"0"
        elif token[0] == b"{":
            outer.append(deleted)
        elif token[0] == b"}":
            deleted = outer.pop() if outer else False
        elif deleted and (name is None or name in _LETTERS):
            continue
        kept.append(token[0])
    return b"".join(kept)
