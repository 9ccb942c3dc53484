"""Sentences, as Spanish, Portuguese and English write them: abbreviations, amounts, initials, inverted marks, list
items on their own line."""

import re
from bisect import bisect_right
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

_ABBREVIATED = """
sr sra srta sres sras dr dra dres dras lic lics ing ings arq arqs prof profa mtro mtra cdor cdora cdra gral cnel cap
tte sgto cmte alte pbro abog psic dir coord exmo exma excmo excma ilmo ilma sen dip gob pdte pte vte ud uds vd vds d
dña fr hno hna mons sto sta ntra fdo atte adm art arts incs núm núms num nums nro nros n nº n.º p pp pág págs pag pags
párr párrs caps fig figs vol vols ed eds trad tít tit sec secc ref refs reg exp expte leg dto depto dpto apto ofic esq
av avda avd bv blvd c cra cll ctra pje pza urb mz mpio prov pcia edo tel tels cel ext cód cod cta ctas obs ej p.ej vgr
v.gr cf cfr vid vs aprox máx mín max min prom ene feb abr may jun jul ago sept oct nov dic lun mié jue vie sáb fev dez
jan apr aug dec soc mr mrs ms st mt e.g i.e eg ie approx gen capt lt rev dept eng
"""
_BEFORE_A_NUMBER = "no nos res disp ord decr circ apdo fs fol fols fl fls as lám par tab"
_BEFORE_AN_END = "etc ltda cía cías cia cias hnos inc co corp ltd jr bros esp"

_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_NUMBERED = frozenset(_BEFORE_A_NUMBER.split())
"""Abbreviations where a number follows; elsewhere they are words, as in "No."."""

_CLOSING = frozenset(_BEFORE_AN_END.split())
"""Abbreviations that a sentence may well end with, as with S.A. and EE.UU."""

_DOTTED = re.compile(r"[^\W\d_]{1,2}(?:\.[^\W\d_]{1,2})+$")
_DOUBLED = re.compile(r"([A-Z])\1$")
_STARTS_A_SENTENCE = re.compile(
    r"[«\"“(]?(?:[¿¡]|(?:El|La|Los|Las|Lo|Un|Una|Unos|Unas|En|Al|Del|De|Por|Para|Con|Sin|Según|Desde|Hasta|Entre|Sobre|Tras|Ante|Se|Si|No"
    r"|Su|Sus|Este|Esta|Estos|Estas|Ese|Esa|Eso|Esto|Cada|Todo|Toda|Todos|Todas|Cuando|Como|Quien|Quienes|Es|Son|Hay"
    r"|Ya|También|Además|Pero|Y|Asimismo|Luego|Después|Ahora|Así"
    r"|The|This|These|That|It|If|In|On|At|For|From|We|You|They|He|She|An?|As|When|Each|All|Its|Their|There"
    r"|O|Os|Um|Uma|Em|No|Na|Nos|Nas|Ao|À|Do|Da|Dos|Das|Pelo|Pela|Se|Seu|Sua|Não|Quando|Cada|Também|Mas)"
    r"(?=\s+[^\W_A-ZÁÉÍÓÚÑÜ]|,))"
)
_ROMAN = re.compile(r"[IVXLC]+$")
_ROW = re.compile(r"^.* \| .*$", re.MULTILINE)


class _Rows:
    """The lines of a text that are rows of a table, cells between ` | `."""

    def __init__(self, text: str) -> None:
        found = [row.span() for row in _ROW.finditer(text)]
        self._starts = [start for start, _ in found]
        self._ends = [end for _, end in found]

    def hold(self, at: int) -> bool:
        """Whether `at` is in a row, or at its end."""
        before = bisect_right(self._starts, at) - 1
        return before >= 0 and at <= self._ends[before]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Returns (start, end) of each sentence, in order, without the white space around it.

    Together they hold all of the text that is not white space. A blank line always ends a sentence; a single new
    line does unless the text flows on in lower case. A row of a table (` | ` between its cells) is one sentence.
    """
    spans: list[tuple[int, int]] = []
    rows = _Rows(text)
    start = 0
    for found in _CANDIDATE.finditer(text):
        if _ends_here(text, start, found, rows):
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


def _ends_here(text: str, start: int, found: re.Match[str], rows: _Rows) -> bool:
    gap = found["gap"] or found["line"] or ""
    if gap.count("\n") > 1 or found.end() == len(text):
        return True
    if rows.hold(found.start()) or rows.hold(found.end()):
        return "\n" in gap
    if found["wide"]:
        return True
    if _goes_on_in_lower_case(text, found.end()):
        return False
    if "\n" in gap:
        return True
    return found["mark"] != "." or not _is_abbreviation(text, start, found.start(), found.end())


def _goes_on_in_lower_case(text: str, at: int) -> bool:
    first = text[at]
    return first.islower() and not text.startswith(("- ", "• ", "* "), at)


def _is_abbreviation(text: str, start: int, dot: int, following: int) -> bool:
    """Whether the full stop at `dot` belongs to the word before it, and the sentence goes on at `following`."""
    word_found = _LAST_WORD.search(text, max(start, dot - _WORD_REACH), dot)
    if word_found is None:
        return False
    word = word_found[0]
    known = word.casefold()
    if known in _CLOSING or (known not in _ABBREVIATIONS and (_DOTTED.match(word) or _DOUBLED.match(word))):
        return _STARTS_A_SENTENCE.match(text, following) is None
    if known in _ABBREVIATIONS or (len(word) == 1 and word.isupper()):
        return True
    if known in _NUMBERED:
        return text[following].isdigit()
    is_item_number = word.isdigit() or _ROMAN.match(word) is not None
    return is_item_number and not text[start : word_found.start()].strip(_OPENING + " \t\n")
