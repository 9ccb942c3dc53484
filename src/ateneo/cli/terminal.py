"""What a terminal can show: text for the encodings that lack some of our letters."""

import codecs
import io
import sys
import unicodedata

_PLAIN = {"✓": "v", "✗": "x", "❌": "x", "…": "...", "—": "-", "–": "-", "→": "->", "·": "-", "«": '"', "»": '"',
          "“": '"', "”": '"', "‘": "'", "’": "'", "•": "*", "█": "#", "\xa0": " ", "¿": "", "¡": ""}  # fmt: skip


def degrade() -> None:
    """From here on nothing that is printed raises UnicodeEncodeError: what an encoding lacks becomes its nearest."""
    codecs.register_error("nearest", _nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="nearest")


def _nearest(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(letter: str) -> str:
    """`á` as `a`; `?` where there is nothing near."""
    known = _PLAIN.get(letter)
    if known is not None:
        return known
    base = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return base or ("" if unicodedata.combining(letter) else "?")
