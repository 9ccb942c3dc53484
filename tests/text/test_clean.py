import pytest
from hypothesis import given
from hypothesis import strategies as st

from ateneo.text.clean import clean


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
