import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ateneo.text.clean import clean, escaped, showable, shown_on_a_line

MARKS = [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C]
"""Bidi_Control of Unicode's PropList.txt, which Python's unicodedata has not."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("a\x00b\x00", "ab"),
        ("a\ud83db", "a\N{REPLACEMENT CHARACTER}b"),
        ("\udc00\ud800", "\N{REPLACEMENT CHARACTER}" * 2),
        ("vacaciones 🏖️", "vacaciones 🏖️"),
        ("שלום مرحبا \u202eabc\u202c", "שלום مرحبا \u202eabc\u202c"),
        ("n\u0303 no se compone", "n\u0303 no se compone"),
        ("\t\r\n\u00a0\ufeff", "\t\r\n\u00a0\ufeff"),
    ],
)
def test_only_what_cannot_be_stored_changes(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_can_be_stored_afterwards(text: str) -> None:
    cleaned = clean(text)
    assert "\x00" not in cleaned
    cleaned.encode()
    assert clean(cleaned) == cleaned


def test_what_a_screen_does_not_get() -> None:
    """Every control but line feed and tab, every mark of direction, and nothing else."""
    directions = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    assert {chr(one) for one in MARKS} >= {
        chr(one) for one in range(sys.maxunicode + 1) if unicodedata.bidirectional(chr(one)) in directions
    }
    for point in range(sys.maxunicode + 1):
        letter = chr(point)
        hidden = (unicodedata.category(letter) == "Cc" and letter not in "\n\t") or point in MARKS
        assert showable(f"a{letter}b") == ("ab" if hidden else f"a{letter}b"), hex(point)


@given(st.text())
def test_a_line_stays_one(text: str) -> None:
    assert "\n" not in shown_on_a_line(text)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_json_says_the_same_with_escapes(text: str) -> None:
    document = escaped(json.dumps([text], ensure_ascii=False))
    assert json.loads(document) == [text] and document == showable(document)
