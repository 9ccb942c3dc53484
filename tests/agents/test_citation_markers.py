"""The `[n]` of an answer that comes in pieces: only numbers of passages given are ever shown."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from ateneo.agents.citation_markers import Marker, MarkerStream


def shown(pieces: list[str], last: int, vouched: set[int] | None = None) -> tuple[str, list[int], int]:
    """The text shown, the numbers in it, and how many were taken out; numbers not `vouched` for are left out."""
    stream, text, numbers, removed = MarkerStream(), "", list[int](), 0
    for piece in pieces:
        for one in stream.feed(piece, last):
            if isinstance(one, Marker):
                removed += one.removed
                kept = [number for number in one.numbers if vouched is None or number in vouched]
                numbers += kept
                text += stream.show(one.space + "".join(f"[{number}]" for number in kept)) if kept else ""
            else:
                text += one
    text += "".join(stream.rest())
    assert text == stream.shown
    return text, numbers, removed


@pytest.mark.parametrize(
    ("text", "kept", "numbers", "removed"),
    [
        ("Nada.", "Nada.", [], 0),
        ("Sí [3].", "Sí.", [], 1),
        ("Sí [0] [1].", "Sí [1].", [1], 1),
        ("Sí [1, 7; 2].", "Sí [1][2].", [1, 2], 1),
        ("Sí [1 y 2].", "Sí [1][2].", [1, 2], 0),
        ("Sí [1-3].", "Sí [1][2].", [1, 2], 1),
        ("Sí [2, 2].", "Sí [2].", [2], 0),
        ("En [2024] hubo [x] y [1.5].", "En [2024] hubo [x] y [1.5].", [], 0),
        ("Trampa [[9]1].", "Trampa [1.", [], 1),
        ("[9]", "", [], 1),
        ("[1] al principio.", "[1] al principio.", [1], 0),
        ("Queda [1", "Queda [1", [], 0),
    ],
)
def test_only_markers_of_passages_given_survive(text: str, kept: str, numbers: list[int], removed: int) -> None:
    for pieces in ([text], list(text), [text[:4], text[4:]]):
        assert shown(pieces, 2) == (kept, numbers, removed)


def test_text_waits_only_while_it_may_be_a_marker() -> None:
    stream = MarkerStream()
    assert list(stream.feed("Cobrás el doble [1", 2)) == ["Cobrás el doble"]
    assert list(stream.feed(" y", 2)) == []
    assert list(stream.feed("a no]. Fin", 2)) == [" [1 ya no]. Fin"]
    assert list(stream.feed("[" + "1" * 100, 2)) == ["[" + "1" * 100]


@settings(max_examples=examples(300))
@given(
    st.lists(st.text(alphabet="[[[]]]0123 9,;y-ab.\n", max_size=12), max_size=8),
    st.integers(0, 3),
    st.sets(st.integers(1, 3)),
)
def test_what_is_shown_always_points_to_a_passage(pieces: list[str], last: int, vouched: set[int]) -> None:
    text, numbers, _ = shown(pieces, last, vouched)
    read = [int(digits) for digits in re.findall(r"\[\s*([0-9]{1,3})\s*\]", text)]
    assert set(read) <= set(numbers)
    assert all(1 <= number <= last and number in vouched for number in read)
    assert shown(["".join(pieces)], last, vouched)[1] == numbers
