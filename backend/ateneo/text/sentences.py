"""Sentences, as Spanish writes them: abbreviations, amounts, initials, inverted marks, list items on their own line."""

import re
from itertools import pairwise

_CANDIDATE = re.compile(
    r"""(?<![.!?…؟])(?P<mark>[.!?…؟]++)["'»”’)\]]*+(?P<gap>\s++)   # a mark, what closes after it, a space
      | (?P<wide>[。！？]++)[」』）]*+                                  # marks that no space follows
      | (?P<line>\n\s*+)                                             # a new line
    """,
    re.VERBOSE,
)
_OPENING = "¿¡\"'«“‘([{—–-•*"
_LAST_WORD = re.compile(r"(?:[^\W_]|[ºª.])+$")
_WORD_REACH = 24

_ABBREVIATED = (
    "sr sra srta sres sras dr dra dres dras lic ing arq prof profa mtro mtra cdor cdra gral cnel cap tte sgto "
    "d dña fr hno hna mons sto sta "
    "art arts inc incs núm núms num nums nro nros n nº n.º p pp pág págs pag pags párr caps fig figs vol vols "
    "ed eds trad tít tit sec secc ref refs reg exp leg dto depto dpto apto ofic esq av avda avd bv blvd c cra cll "
    "mpio prov pcia edo tel tels cel ext cód cod cta ctas "
    "ej p.ej vgr v.gr cf cfr vid vs aprox máx mín max min prom "
    "ene feb abr may jun jul ago sept oct nov dic lun mié jue vie sáb "
    "cía cia hnos ltda soc ee ff cc rr dd aa pp.ee jj mr mrs ms st jr e.g i.e eg ie approx"
)
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_ROMAN = re.compile(r"[IVXLC]+$")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Returns (start, end) of each sentence, in order, without the white space around it.

    Together they hold all of the text that is not white space. A blank line always ends a sentence; a single new
    line does unless the text flows on in lower case.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for found in _CANDIDATE.finditer(text):
        if _ends_here(text, start, found):
            _append(spans, text, start, found.end())
            start = found.end()
    _append(spans, text, start, len(text))
    return spans


def split_sentences(text: str) -> list[str]:
    """Returns the sentences of `text`, trimmed; see `sentence_spans`."""
    return [text[start:end] for start, end in sentence_spans(text)]


def sentence_units(text: str) -> tuple[str, ...]:
    """The sentences, each with the white space behind it: joined they are `text` without what surrounds it."""
    text = text.strip()
    starts = [start for start, _ in sentence_spans(text)]
    return tuple(text[start:end] for start, end in pairwise([*starts, len(text)]))


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    body = text[start:end]
    left = len(body) - len(body.lstrip())
    right = len(body.rstrip())
    if left < right:
        spans.append((start + left, start + right))


def _ends_here(text: str, start: int, found: re.Match[str]) -> bool:
    if found["wide"]:
        return True
    gap = found["gap"] or found["line"]
    if gap.count("\n") > 1 or found.end() == len(text):
        return True
    if _goes_on_in_lower_case(text, found.end()):
        return False
    if "\n" in gap:
        return True
    return found["mark"] != "." or not _is_abbreviation(text, start, found.start())


def _goes_on_in_lower_case(text: str, at: int) -> bool:
    first = text[at]
    return first.islower() and not text.startswith(("- ", "• ", "* "), at)


def _is_abbreviation(text: str, start: int, dot: int) -> bool:
    word_found = _LAST_WORD.search(text, max(start, dot - _WORD_REACH), dot)
    if word_found is None:
        return False
    word = word_found[0]
    if word.casefold() in _ABBREVIATIONS:
        return True
    if len(word) == 1 and word.isupper():
        return True
    is_item_number = word.isdigit() or _ROMAN.match(word) is not None
    return is_item_number and not text[start : word_found.start()].strip(_OPENING + " \t\n")
