"""Highlighting: the forms of a word are marked whatever their accents, case and ending, and no letter is cut."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ateneo.search.highlight import fold, highlights

LETTERS = st.text(alphabet="aábcnñoóueiíAÁÑ\u0301\u0303 .-/,12 \n🏖ßİx_", max_size=60)
WORDS = st.lists(st.text(alphabet="abcnñouei12", min_size=1, max_size=6), max_size=4)


def marked(text: str, *words: str) -> list[str]:
    return [text[start:end] for start, end in highlights(text, words)]


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("El FERIADO y los feriados.", ["feriado"], ["FERIADO", "feriados"]),
        ("La información, las informaciones", ["informacion"], ["información", "informaciones"]),
        ("Pagan el pago en efectivo.", ["pago"], ["Pagan", "pago"]),
        ("Si querés, quiere.", ["quieres"], ["querés", "quiere"]),
        ("Un año. Un ano.", ["año"], ["año"]),
        ("Un año. Un ano.", ["ano"], ["año", "ano"]),
        ("Un an\u0303o vacacio\u0301n.", ["año", "vacacion"], ["an\u0303o", "vacacio\u0301n"]),
        ("fecha_vacaciones(vacaciones)", ["vacaciones"], ["vacaciones", "vacaciones"]),
        ("vacunas", ["vacaciones"], []),
        (
            "La situación, la constitución; nació y tenía.",
            ["constituciones", "nacer", "tener"],
            ["constitución", "nació", "tenía"],
        ),
        ("según RG-4310/2021 y nada más", ["rg43102021"], ["RG-4310/2021"]),
        ("el 12/03/2025, o 2025-03-12, no el 13/03/2025", ["2025-03-12"], ["12/03/2025", "2025-03-12"]),
        ("son $ 85.000,00 o 85,5", ["85000"], ["85.000,00"]),
        ("son $ 85.000 o 85,50", ["85.5"], ["85,50"]),
        ("el 4310 y el RG 4310", ["4310"], ["4310", "4310"]),
        ("🏖️ vacaciones 👩🏽‍🏭", ["vacaciones"], ["vacaciones"]),
        ("nada", [], []),
        ("", ["nada"], []),
    ],
)
def test_what_is_marked(text: str, words: list[str], found: list[str]) -> None:
    assert marked(text, *words) == found


@given(LETTERS, WORDS)
def test_spans_are_whole_words_in_order(text: str, words: list[str]) -> None:
    spans = highlights(text, words)
    at = 0
    for start, end in spans:
        assert at <= start < end <= len(text)
        assert text[start].isalnum()
        assert not text[start:end].isspace()
        assert end == len(text) or not (unicodedata.combining(text[end]) or text[end].isalnum())
        assert start == 0 or not text[start - 1].isalnum()
        at = end


@given(LETTERS, st.sampled_from(["feriado", "año", "vacación", "pagué"]))
def test_a_word_that_is_there_is_found_in_any_case_and_form(around: str, word: str) -> None:
    for form in (word, word.upper(), unicodedata.normalize("NFD", word)):
        text = f"{around} {form} {around}"
        assert form in marked(text, fold(word))


@given(st.text(max_size=80), st.lists(st.text(max_size=8), max_size=4))
def test_any_text_and_any_words(text: str, words: list[str]) -> None:
    for start, end in highlights(text, words):
        assert 0 <= start < end <= len(text)
