"""Variants of questions: the definition that DESIGN.md's figures were measured with, and what it promises."""

import random
import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from ateneo.evaluation.variants import variant_of, with_typos, without_accents

QUERIES = [
    "¿Cuántos puntos dejaron escapar en defensa los Panthers?",
    "¿Cuándo se otorgan días corridos de licencia por mudanza?",
    "¿Qué año pagó la compañía la indemnización extraordinaria?",
    "corto y ya",
]
EXPECTED = [
    "¿Cuántos puntos dejaron escaar en defensa los Panthers?",
    "¿Cuándo se otogan días corrids de licncia por mudanza?",
    "¿Qué año pagó la comañía la indemnización extraordinaria?",
    "rorto y ya",
    "¿Cuántos puntos dejaron escapar en defensa los Panthers?",
    "¿pCuándo se otorgan días corridos de licencia por mudanza?",
]


def of_the_prototype(queries: list[str]) -> list[str]:
    """As the sketch that the figures in DESIGN.md come from drew them: every draw in this order."""
    rng = random.Random(7)
    made = []
    for query in queries:
        parts = []
        for part in re.findall(r"\w+|\W+", query):
            word = part
            if re.match(r"\w", word) and len(word) >= 5 and rng.random() < 0.15:
                i = rng.randrange(len(word))
                k = rng.choice("dist")
                ch = rng.choice("abcdefghijklmnopqrstuvwxyz")
                if k == "d":
                    word = word[:i] + word[i + 1 :]
                elif k == "i":
                    word = word[:i] + ch + word[i:]
                elif k == "s":
                    word = word[:i] + ch + word[i + 1 :]
                else:
                    i = min(i, len(word) - 2)
                    word = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
            parts.append(word)
        made.append("".join(parts))
    return made


@given(st.lists(st.one_of(st.sampled_from(QUERIES), st.text(max_size=60)), max_size=30))
def test_typos_are_the_prototypes(queries: list[str]) -> None:
    assert with_typos(queries) == of_the_prototype(queries)


def test_typos_seen() -> None:
    # frozen: another order of draws would change every figure ever published
    assert with_typos(QUERIES * 5)[:6] == EXPECTED


def test_the_first_are_the_same_whatever_follows() -> None:
    assert with_typos(QUERIES * 10)[:7] == with_typos((QUERIES * 10)[:7])


def test_about_15_percent_of_the_long_words_and_no_other() -> None:
    words = ["palabra", "corta", "sol", "y"] * 2000
    typed = with_typos(words)
    assert typed[2::4] == words[2::4] and typed[3::4] == words[3::4]
    changed = sum(a != b for a, b in zip(words, typed, strict=True))
    # some replacements put back the same letter, and some swaps are of two equal ones
    assert 0.13 * 4000 < changed < 0.16 * 4000


def test_accents() -> None:
    assert without_accents("¿Año, pingüino, ÁRBOL, naïve?") == "¿Ano, pinguino, ARBOL, naive?"
    decomposed = unicodedata.normalize("NFD", "camión")
    assert without_accents(decomposed) == "camion"
    assert variant_of(QUERIES, "noaccents")[2] == "¿Que ano pago la compania la indemnizacion extraordinaria?"
    assert variant_of(QUERIES, "clean") == QUERIES
    assert variant_of(QUERIES, "typos") == with_typos(QUERIES)
