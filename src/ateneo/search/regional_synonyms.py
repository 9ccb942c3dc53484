"""Words of Latin American business Spanish that name the same thing: zapallo in one country, calabaza in another.

lexicon_latam.tsv: term, countries (ISO codes, `;` between them, empty where it is said everywhere), other names (`;`),
English senses (`;`). The bundled model was made with it, too.
"""

from functools import cache
from pathlib import Path

_LEXICON = Path(__file__).with_name("lexicon_latam.tsv")


@cache
def _lines() -> tuple[tuple[str, frozenset[str], tuple[str, ...]], ...]:
    """Term, countries, other names."""
    rows = (line.split("\t") for line in _LEXICON.read_text(encoding="utf-8").splitlines()[1:])
    return tuple((row[0], frozenset(row[1].split(";")) - {""}, tuple(filter(None, row[2].split(";")))) for row in rows)


def countries() -> list[str]:
    """The ISO codes of the countries that the lexicon has words of."""
    return sorted({country for _, said_in, _ in _lines() for country in said_in})


def groups(country: str) -> list[list[str]]:
    """A country's words, each with what others call it. Single words only: search replaces no phrases."""
    found = []
    for term, said_in, others in _lines():
        group = [word for word in (term, *others) if word.isalpha()]
        if country in said_in and group[:1] == [term] and len(group) > 1:
            found.append(group)
    return found
