"""What `ateneo search` prints of a hit: bold where words matched, never wider than asked."""

import pytest

from ateneo.cli.search import marked_snippet
from ateneo.search.highlight import highlights
from ateneo.types import Hit


def _hit(text: str, *words: str) -> Hit:
    return Hit("c", "d", 0, text, 1.0, None, None, None, None, highlights=highlights(text, words))


def _bold(hit: Hit, length: int = 220) -> list[str]:
    line = marked_snippet(hit, length)
    return [line.plain[span.start : span.end] for span in line.spans]


def test_matched_words_are_bold() -> None:
    hit = _hit("El  feriado\nse paga.", "feriado", "paga")
    assert marked_snippet(hit).plain == "El feriado se paga."
    assert _bold(hit) == ["feriado", "paga"]


@pytest.mark.parametrize("at", [0, 10, 50, 99])
def test_a_long_passage_is_cut_at_words_around_the_first_match(at: int) -> None:
    words = [f"palabra{number}" for number in range(100)]
    words[at] = "feriado"
    hit = _hit(" ".join(words), "feriado")
    line = marked_snippet(hit, 80).plain
    assert _bold(hit, 80) == ["feriado"]
    assert len(line) <= 82
    assert set(line.strip("…").split()) <= set(words)
    assert (line[0] == "…", line[-1] == "…") == (at >= 10, at < 99)


def test_without_matches_it_is_the_beginning() -> None:
    assert marked_snippet(_hit("una dos tres cuatro"), 10).plain == "una dos…"
    assert marked_snippet(_hit("x" * 300), 10).plain == "x" * 10 + "…"


def test_of_a_passage_of_megabytes_it_reads_what_it_shows() -> None:
    text = "hola " * 400_000
    hit = Hit(
        "c", "d", 0, text, 1.0, None, None, None, None, highlights=tuple((n, n + 4) for n in range(0, len(text), 5))
    )
    assert _bold(hit, 20) == ["hola"] * 4
    late = Hit("c", "d", 0, text, 1.0, None, None, None, None, highlights=((1_000_000, 1_000_004),))
    assert marked_snippet(late, 20).plain == "…hola hola hola hola…"
    assert _bold(late, 20) == ["hola"]
