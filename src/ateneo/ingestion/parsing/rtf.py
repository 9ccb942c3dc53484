"""RTF: what was deleted, where changes are tracked, taken out; and as Outlook packs it, unpacked."""

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


# --- as Outlook packs it (MS-OXRTFCP) -----------------------------------------------------------------------------

_PACKED = b"LZFu"
_HEADER_BYTES = 16
_WINDOW = 4096
_BEGINS = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans Serif"
    rb"SymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    + b"\r\n"
    + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
"""What every window holds at first."""


def unpacked(data: bytes, most_bytes: int) -> bytes:
    """The RTF of a message's body, up to `most_bytes`; b"" for what is none."""
    if data[8:12] == b"MELA":
        return data[_HEADER_BYTES:][:most_bytes]
    if data[8:12] != _PACKED:
        return b""
    window = bytearray(_BEGINS.ljust(_WINDOW, b"\0"))
    place, at = len(_BEGINS), _HEADER_BYTES
    out = bytearray()
    while at < len(data) and len(out) < most_bytes:
        kinds = data[at]
        at += 1
        for bit in range(8):
            copied = _copied(data, at, kinds >> bit & 1, window, place)
            if not copied:
                return bytes(out)
            at += 1 + (kinds >> bit & 1)
            out += copied
            place = (place + len(copied)) % _WINDOW
    return bytes(out)


def _copied(data: bytes, at: int, is_reference: int, window: bytearray, place: int) -> bytes:
    """The next letter, or those that a reference names, which are put into the window, too; b"" at the end."""
    token = data[at : at + 1 + is_reference]
    if len(token) <= is_reference:
        return b""
    start, length = (token[0] << 4 | token[1] >> 4, (token[1] & 15) + 2) if is_reference else (0, 1)
    if is_reference and start == place:
        return b""
    copied = bytearray()
    for offset in range(length):
        letter = window[(start + offset) % _WINDOW] if is_reference else token[0]
        window[(place + offset) % _WINDOW] = letter
        copied.append(letter)
    return bytes(copied)
