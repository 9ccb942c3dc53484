import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from ateneo.agents.citations import cite, claim_at_end, locate, occurs
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


def test_a_citation_quotes_the_sentence_that_supports_it() -> None:
    cited = cite(1, LICENCIAS, "Por una mudanza son dos días")
    assert (cited.number, cited.chunk_id, cited.document_id, cited.page) == (1, "lic", "doc", 4)
    assert cited.label == "Manual · Licencias · p. 4"
    assert cited.quote == "Por mudanza corresponden dos días."


def test_the_claim_is_what_was_said_last() -> None:
    assert claim_at_end("Hola. Son 14 días [1]. Por mudanza, dos [2]") == "Por mudanza, dos"
    assert claim_at_end("") == ""


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


def test_a_letter_without_its_accent_is_not_there() -> None:
    assert locate("an", "an\u0303o, an") == (6, 8)
    assert locate("El an", "El an\u0303o") is None


@settings(max_examples=examples(200))
@given(st.text(max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_every_stretch_of_a_text_is_found_in_it(text: str, first: int, second: int) -> None:
    quote = text[min(first, second) : max(first, second)]
    place = locate(quote, text)
    if place is not None:
        assert locate(text[slice(*place)], quote) is not None
    elif quote.isprintable() and quote.strip():
        # nothing to see, or cut before a mark that belongs to its last letter
        rest = unicodedata.normalize("NFKD", text[max(first, second) :])
        assert rest[:1] == "" or unicodedata.combining(rest[0]) or not unicodedata.is_normalized("NFKD", quote)
