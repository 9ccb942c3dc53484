"""Training texts from the regional lexicon: each term and synonym alone, and in plain sentences."""

import random
from collections.abc import Iterable, Iterator

from corpus import Pair, Term

SOURCE = "lexicon_latam"

_FRAMES = (
    ("información sobre {}", "information about {}"),
    ("¿qué es {}?", "what is {}?"),
    ("política de {}", "{} policy"),
    ("preguntas frecuentes sobre {}", "frequently asked questions about {}"),
    ("¿a quién le pregunto por {}?", "who do I ask about {}?"),
    ("documento sobre {} para el personal", "document about {} for staff"),
    ("quiero saber más de {}", "I want to know more about {}"),
    ("tengo un problema con {}", "I have a problem with {}"),
)


def term_pairs(terms: Iterable[Term], rng: random.Random) -> Iterator[Pair]:
    """One pair for every name of a term, and one framed pair for names that are no verbs or sentences."""
    for term in terms:
        senses = [sense.strip() for sense in term.english.split(";")]
        for name in (term.name, *term.synonyms):
            meaning = ", ".join(senses) if name == term.name else senses[0]
            yield Pair(meaning, name, SOURCE)
            if not senses[0].startswith(("to ", "I ", "it ", "they ")):
                spanish, english = rng.choice(_FRAMES)
                yield Pair(english.format(senses[0]), spanish.format(name), SOURCE)
        if term.synonyms:
            yield Pair(", ".join(senses), ", ".join((term.name, *term.synonyms)), SOURCE)
