"""Sentences that can be quoted, and how many of a question's words they hold."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log

from ateneo.text.sentences import split_sentences
from ateneo.types import Hit

Words = frozenset[str]

_LEAST_WORDS = 4
_WORD = re.compile(r"[^\W_]+")
_PLURAL_OR_GENDER = re.compile(r"(?<=\w{4})(?:es|as|os|s|a|o|e)$")
_STEM_CHARS = 6
_FUNCTION_WORDS = """
a al algo algun alguna algunas alguno algunos ante antes aqui asi aun aunque cada como con contra cual cuales cuando
cuanta cuantas cuanto cuantos da de del desde donde dos e el ella ellas ellos en entre era es esa esas ese eso esos
esta estan estas este esto estos fue fueron ha hace hacer hay la las le les lo los mas me mi mis mismo mucho muy
nada ni no nos nosotros o otra otras otro otros para pero por porque puede pueden puedo que quien quienes se sea
segun ser si sido sin sobre solo son su sus tambien tan tanto te tener tengo ti tiene tienen todo todos tu tus un
una unas uno unos usted ustedes y ya yo
about am an and any are as at be been but by can did do does for from had has have how i if in into is it its my no
not of on or our she should so some than that the their them there these they this to us was we were what when where
which who why will with would you your
"""
_STOP_WORDS = frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True, slots=True)
class Quotable:
    """A sentence of passage `[number]`, verbatim."""

    number: int
    text: str
    heading: str


def content_words(text: str) -> Words:
    """Returns the words that carry meaning: without accents, in lower case, cut to a crude stem."""
    folded = "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
    return frozenset(
        _PLURAL_OR_GENDER.sub("", word)[:_STEM_CHARS] for word in _WORD.findall(folded) if word not in _STOP_WORDS
    )


def quotables(passages: Sequence[Hit]) -> list[Quotable]:
    """Returns the sentences worth quoting, in order, none twice: no headings, questions, rules of tables, or scraps."""
    found: dict[str, Quotable] = {}
    for number, hit in enumerate(passages, 1):
        heading = hit.headings[-1] if hit.headings else hit.title or ""
        sentences = split_sentences(hit.contenido)
        for at, sentence in enumerate(sentences):
            unfinished = at == 0 and len(sentences) > 1 and sentence[-1:].isalnum()
            is_heading = sentence.startswith("#") or unfinished or (at == 0 and heading and sentence.endswith(heading))
            is_question = sentence.rstrip(' »”"*_').endswith("?")
            if not is_heading and not is_question and len(_WORD.findall(sentence)) >= _LEAST_WORDS:
                found.setdefault(sentence, Quotable(number, sentence, heading))
    return list(found.values())


def coverage(question: str, texts: Sequence[str]) -> list[float]:
    """For each text the share, in [0, 1], of the question's content words that it holds.

    A word counts the more the fewer of the texts hold it. All 0 where the question has no content words.
    """
    wanted = content_words(question)
    held = [content_words(text) & wanted for text in texts]
    frequency = Counter(word for words in held for word in words)
    weights = {word: log(1 + len(texts) / (0.5 + frequency[word])) for word in wanted}
    total = _sum(weights, wanted)
    return [_sum(weights, words) / total if total else 0.0 for words in held]


def _sum(weights: dict[str, float], words: Iterable[str]) -> float:
    return sum(weights[word] for word in sorted(words))
