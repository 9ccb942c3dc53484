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
_ROW = " | "
_ITEM = re.compile(r"(?:[-•*–]|\d{1,2}[.)]|[a-z]\))\s")
_REFERS_BACK = re.compile(
    r"(?:(?:en|de|a|para|por|con|sin|tras|desde|durante|em|in|for|with)\s+)?"
    r"(?:es[aeo]s?|est[aeo]s?|dich[ao]s?|tal(?:es)?|ell[ao]s?|amb[ao]s|(?:el|la|lo)s?\s+(?:mism[ao]s?|resto|demás|restantes|anterior)"
    r"|además|también|asimismo|sin embargo|no obstante|pero|(?:de lo|en caso|caso) contrario|entonces"
    r"|ess[ae]s?|isso|isto|this|that|these|those|such|it|they|both|otherwise|however)\b",
    re.IGNORECASE,
)
"""How a sentence begins that says nothing without the one before it."""


@dataclass(frozen=True, slots=True)
class Quotable:
    """A sentence of passage `[number]`, verbatim. `lead`: what it depends on there, the sentence before one that begins
    with "ese", "dicho" or the like, the head of a list's item; "" where it stands by itself."""

    number: int
    text: str
    lead: str = ""

    @property
    def is_row(self) -> bool:
        return _ROW in self.text


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
        sentences = body(hit)
        for at, sentence in enumerate(sentences):
            is_question = sentence.rstrip(' »”"*_').endswith("?")
            if not is_question and len(_WORD.findall(sentence)) >= _LEAST_WORDS:
                found.setdefault(sentence, Quotable(number, sentence, lead(sentences, at)))
    return list(found.values())


def body(hit: Hit) -> list[str]:
    """The sentences of a passage without its headings."""
    heading = hit.headings[-1] if hit.headings else hit.title or ""
    sentences = split_sentences(hit.contenido)
    begins_with_heading = len(sentences) > 1 and sentences[0][-1:].isalnum()
    if sentences and (begins_with_heading or (heading and sentences[0].endswith(heading))):
        sentences = sentences[1:]
    return [one for one in sentences if not one.startswith("#")]


def lead(sentences: Sequence[str], at: int) -> str:
    if _ITEM.match(sentences[at]):
        above = (one for one in reversed(sentences[:at]) if not _ITEM.match(one))
        head = next(above, "")
        return head if head.endswith(":") else ""
    return sentences[at - 1] if at and _REFERS_BACK.match(sentences[at]) else ""


def row_asked_for(question: str, candidates: Sequence[Quotable]) -> list[Quotable]:
    """The candidates without rows of tables, but for the one row that holds more of the question than the others."""
    rows = [one for one in candidates if one.is_row]
    held = coverage(question, [one.text for one in rows])
    most = max(held, default=0.0)
    asked = [row for row, share in zip(rows, held, strict=True) if share == most > 0]
    return [one for one in candidates if not one.is_row or asked == [one]]


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
