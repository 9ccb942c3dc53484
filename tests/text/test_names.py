"""What may name a company, a key or a person."""

import sys
import unicodedata

import pytest

from ateneo.text.names import is_name

NO_NAMES = ["", "  ", "a\x00b", "a\nb", "a\x1b[31m", "\x9b31m", "\ud800", "a\u202eb", "a\u2028b", "x" * 201]


def test_by_unicodes_categories() -> None:
    """Controls, marks of direction, surrogates, private and unassigned ones, and all separators but the blank."""
    for point in range(sys.maxunicode + 1):
        letter = chr(point)
        assert is_name(f"a{letter}") == (unicodedata.category(letter)[0] not in "CZ" or letter == " "), hex(point)


@pytest.mark.parametrize("text", [*NO_NAMES, None, 7, ["acme"], b"acme", {}])
def test_what_is_none(text: object) -> None:
    assert not is_name(text)


@pytest.mark.parametrize("text", ["acme", "x" * 200, "Ñandú S. A.", "7", "会社"])
def test_what_is_one(text: str) -> None:
    assert is_name(text)
