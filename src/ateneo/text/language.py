"""Which language a text is in, by the small words that it cannot do without."""

import re
from collections import Counter
from typing import Literal

Language = Literal["es", "en", "pt", "unknown"]

_LONGEST_SAMPLE = 50_000
_LEAST_EVIDENCE = 3
_LEAST_SHARE = 0.1
"""Of the words of a text in one of our languages far more than this are stop words."""

_CLEARLY = 1.1

_WORD = re.compile(r"[^\W\d_]+")
_STOP_WORDS: dict[Language, str] = {
    "es": """
el la los las un una unos unas del al y en con por su sus lo le les es son fue ser hay muy más pero sin cuando donde
qué cómo cuál cuánto esta está están este esto estos estas ese eso esa también según hasta desde entre ya si sí ni
quien nos usted ustedes cada todo todos todas otro otra hacer puede debe tiene
""",
    "en": """
the of and to in is are was were be been that this these those it its for on with as at by from or an not have has had
will would can must may should shall which what when where who how they their there you your we our he she his her if
but all any each
""",
    "pt": """
o os um uma uns umas do da dos das no na nos nas ao aos à às e em com por pelo pela pelos pelas seu sua seus suas é são
foi ser há muito mais mas sem quando onde qual quanto esta está estão este isto estes estas esse isso essa também até
desde entre já se nem quem você vocês cada tudo todos todas outro outra fazer pode deve tem não que
""",
    # French, Italian, Catalan and German, so that they are not taken for their neighbours
    "unknown": """
le les des du et est une dans pour qui sur pas au aux avec ce cette sont par plus ou il elle à della del dei delle degli
di che è per con una gli nel nella sono non più alla al els amb és dels als són aquest aquesta i o té der die das und
ist von mit den dem ein eine nicht für auf sich im zu auch wird werden
""",
}
_TIMES = Counter(word for own in _STOP_WORDS.values() for word in set(own.split()))
# A word that two of them have is evidence for neither.
_TELLING: dict[Language, frozenset[str]] = {
    language: frozenset(word for word in own.split() if _TIMES[word] == 1) for language, own in _STOP_WORDS.items()
}


def detect(text: str) -> Language:
    """Returns the language of `text` (of its first 50,000 characters), unknown where the evidence is thin."""
    words = Counter(_WORD.findall(text[:_LONGEST_SAMPLE].lower()))
    evidence = {language: sum(words[word] for word in own) for language, own in _TELLING.items()}
    (best, most), (_, second) = sorted(evidence.items(), key=lambda pair: -pair[1])[:2]
    # names hold such words, too: "Los Angeles" alone makes no text Spanish
    different = sum(word in words for word in _TELLING[best])
    enough = different >= 2 and most >= _LEAST_EVIDENCE and most >= _LEAST_SHARE * words.total()
    return best if enough and most > _CLEARLY * second else "unknown"
