import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ateneo.text.citations import cite, occurs, resolve, verified
from ateneo.types import Hit

LICENCIAS = Hit(
    chunk_id="lic",
    document_id="doc",
    chunk_index=0,
    contenido="Manual > Licencias\nEl personal goza de 14 días corridos. Por mudanza corresponden dos días.",
    score=1.0,
    dense_score=0.5,
    lexical_score=1.0,
    dense_rank=1,
    lexical_rank=1,
    title="Manual",
    page=4,
    headings=("Manual", "Licencias"),
)
FERIADOS = replace(LICENCIAS, chunk_id="fer", contenido="Los feriados se pagan dobles.", headings=(), page=None)
PASSAGES = [LICENCIAS, FERIADOS]


def test_a_marker_becomes_a_citation_with_the_sentence_that_supports_it() -> None:
    cited = resolve("Por una mudanza son dos días [1]. El feriado se paga doble [2].", PASSAGES)
    first, second = cited.citations
    assert (first.number, first.chunk_id, first.document_id, first.page) == (1, "lic", "doc", 4)
    assert first.label == "Manual · Licencias · p. 4"
    assert first.quote == "Por mudanza corresponden dos días."
    assert (second.number, second.chunk_id, second.quote) == (2, "fer", "Los feriados se pagan dobles.")
    assert cited.removed == 0


def test_order_is_that_of_the_answer_and_each_passage_once() -> None:
    cited = resolve("Doble [2]. Catorce [1]. Doble, dije [2].", PASSAGES)
    assert [one.number for one in cited.citations] == [2, 1]


@pytest.mark.parametrize(
    ("text", "kept", "numbers", "removed"),
    [
        ("Nada.", "Nada.", [], 0),
        ("Sí [3].", "Sí.", [], 1),
        ("Sí [0][1].", "Sí[1].", [1], 1),
        ("Sí [1, 7; 2].", "Sí [1][2].", [1, 2], 1),
        ("Sí [1 y 2].", "Sí [1][2].", [1, 2], 0),
        ("Sí [1-3].", "Sí [1][2].", [1, 2], 1),
        ("Sí [2, 2].", "Sí [2].", [2], 0),
        ("En [2024] hubo [x] y [1.5].", "En [2024] hubo [x] y [1.5].", [], 0),
        ("Trampa [[9]1].", "Trampa [1].", [1], 1),
        ("[9]", "", [], 1),
        ("[1] al principio.", "[1] al principio.", [1], 0),
    ],
)
def test_only_markers_of_passages_given_survive(text: str, kept: str, numbers: list[int], removed: int) -> None:
    cited = resolve(text, PASSAGES)
    assert cited.text == kept
    assert [one.number for one in cited.citations] == numbers
    assert cited.removed == removed


@pytest.mark.parametrize(
    ("quote", "expected"),
    [
        ("El personal goza de 14 días corridos.", True),
        ("El  personal\n goza de 14\u00a0dı\u0301as".replace("ı", "i"), True),
        ("El per\u00adsonal go\u200bza", True),
        ("el personal goza", False),
        ("El personal goza de 15 días", False),
        ("dias corridos", False),
        ("", False),
        (" \n", False),
    ],
)
def test_a_quote_occurs_up_to_space_and_unicode_form(quote: str, expected: bool) -> None:
    assert occurs(quote, LICENCIAS.contenido) is expected


def test_citations_that_a_model_gives_are_held_to_the_chunks() -> None:
    good = cite(1, LICENCIAS, "14 días")
    invented = replace(good, quote="Son 90 días.")
    elsewhere = replace(good, chunk_id="otro")
    beyond = replace(good, number=3)
    assert verified([good, invented, elsewhere, beyond], PASSAGES) == (good,)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="[]0123 9,;y-ab.\n", max_size=60), st.integers(0, 2))
def test_what_is_left_always_points_to_a_passage(text: str, given_passages: int) -> None:
    passages = PASSAGES[:given_passages]
    cited = resolve(text, passages)
    numbers = [int(digits) for digits in re.findall(r"\[\s*([0-9]{1,3})\s*\]", cited.text)]
    assert set(numbers) == {one.number for one in cited.citations}
    assert all(1 <= number <= given_passages for number in numbers)
    assert verified(cited.citations, passages) == cited.citations
    assert resolve(cited.text, passages).removed == 0
