"""Pages of bare lines, as a PDF gives them, read into paragraphs under their headings.

A PDF says where glyphs stand, not what a paragraph or a heading is; these rules read it from the lines' shape.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

from ateneo.ingestion.parsing.sections import SectionBuilder

ROW, HEADING, _RUNNING = "\x01", "\x03", "\x04"
"""Begin a line that is a row of a table, a heading by its letters' size, or one that pages repeat at their edges."""
_EDGE_LINES, _MOST_EDGE_LINES = 2, 8
"""Running lines are among the outermost of a page, or next to others that are, as in a letterhead."""
_RUNNING_SHARE = 0.6
_FULL_LINE = 0.85

_HYPHENATED = re.compile("(?<=[a-zà-ÿ])[\x02\ufffe](?=[A-ZÀ-Ý])|(?<=\\d)[\x02\ufffe](?=\\d)")
_DIVIDED = re.compile("[\x02\ufffe\xad](?=\\S)|[\x02\ufffe]")
_AFTER_LIGATURE = re.compile(
    r"(\b(?!(?:wi|hi|sci)fi\b|off\b|staff\b)[^\W\d_]*f(?:[il]|f|fi|fl)) (?=[a-zà-ÿ])", re.IGNORECASE
)
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(
    r"^\W*\d{1,5}(?:\s*(?:/|de|of)\s*\d{1,5})?(?=\W|$)|\s*\b(?:(?:p[aá]g(?:ina|\.)?|page|hoja)\s*\d{1,5}(?:\s*(?:/|de|of)\s*\d{1,5})?"
    r"|\d{1,5}(?:\s*(?:/|de|of)\s*\d{1,5})?\W*$)|(?:^|\s+)[ivxlc]{1,7}$",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d{1,5}|\b[ivxlc]{1,7}$")
_ONLY_A_NUMBER = re.compile(r"[^\w#]*#-?\d+(?:\s*(?:/|de|of)\s*\d+)?\W*$")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_LEADERS = re.compile(r"(?:[ \t]?\.){4,}[ \t]?")
_BULLET = re.compile(r"(?:[-–—•▪●◦*·]|\d{1,3}[.)]|[a-zñ][.)])\s")
_NUMBERED = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,5})\.?\s+[A-ZÁÉÍÓÚÑÜ¿¡«\"“].*[^\d\s.,;:]$")
_COUNTED = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,5})\.?\s+[^\W\d]")
_NAMED = re.compile(
    r"(?:(cap[ií]tulo|t[ií]tulo|parte|anexo|ap[eé]ndice)|(secci[oó]n|art[ií]culo|cl[aá]usula))\s+"
    r"(?:\d{1,4}|[IVXLC]{1,6}|[A-Z])\b.{0,80}$",
    re.IGNORECASE,
)
_SCANNED_BY = re.compile(
    r"(?:escanead|digitalizad|scanned|criad)\w*\s+(?:con|com|with|by|por)\s+\w+(?:\s\w+)?", re.IGNORECASE
)
"""What programs write on the pages that they scan."""
_HYPHENS = ("-", "\u2010", "\xad")
_BARE_NUMBERED = re.compile(
    r"(?:cap[ií]tulo|t[ií]tulo|secci[oó]n|parte|anexo|ap[eé]ndice|libro)\s+(?:\d{1,4}|[IVXLC]{1,6}|[A-Z]|[úu]nic[oa])\.?",
    re.IGNORECASE,
)
_TERMINAL = (".", ":", ";", ",", "!", "…")
_LONGEST = 90


@dataclass(frozen=True, slots=True)
class _Block:
    """A paragraph, list item, row or heading, and the page where it begins. `wrapped`: of more than one line; `mark`:
    ROW or HEADING where the page says so; `rest`: what of a paragraph stands on further pages, each with its page."""

    text: str
    page: int
    wrapped: bool
    mark: str = ""
    rest: tuple[tuple[str, int], ...] = ()


def read_pages(pages: Sequence[str], title: str = "") -> SectionBuilder:
    """Reads the pages (the first is page 1). Of lines that repeat at the edges of most pages the first is kept; the
    line that repeats `title` at the start is left out."""
    lines = _lines(pages)
    builder = SectionBuilder(page=1)
    blocks = _with_names(_blocks(lines))
    if title and blocks and blocks[0].text.casefold() == title.casefold():
        blocks = blocks[1:]
    deepest = max((level for block in blocks if (level := _numbered_level(block.text))), default=0)
    for at, block in enumerate(blocks):
        level = _level(block, blocks[at + 1] if at + 1 < len(blocks) else None, deepest + 1)
        builder.turn_to(block.page)
        if level:
            builder.heading(level, block.text)
        elif at and _is_row(block) and _is_row(blocks[at - 1]) and block.mark == blocks[at - 1].mark:
            builder.line(block.text)
        else:
            builder.text(block.text)
        for text, page in block.rest:
            builder.continue_on(page, text)
    return builder


# --- lines --------------------------------------------------------------------------------------------------------


def _lines(pages: Sequence[str]) -> list[tuple[str, int]]:
    """Every line with its page, empty ones included, without running headers and footers after their first time."""
    split = [[_led(repaired(line).strip()) for line in page.split("\n")] for page in pages]
    shapes = [{at: _shapes(lines[at], page, len(pages)) for at in _edges(lines)} for page, lines in enumerate(split, 1)]
    running = _running(shapes)
    seen: set[str] = set()
    kept: list[tuple[str, int]] = []
    for page, (lines, edges) in enumerate(zip(split, shapes, strict=True), start=1):
        repeated = _repeated(edges, running)
        for at, line in enumerate(lines):
            if at not in repeated:
                kept.append((line, page))
            elif repeated[at].isdisjoint(seen) and (first := _without_page_number(line, repeated[at], lines)):
                kept.append((first if first.startswith(HEADING) else _RUNNING + first, page))
            seen |= repeated.get(at, set())
    return kept


def _led(line: str) -> str:
    """A line with leaders, as of a menu or a table of contents, is a row."""
    short = _LEADERS.sub(" … ", line)
    return short if short == line or line[0] == ROW or not short[-1].isdigit() else f"{ROW}{short.lstrip(HEADING)}"


def _without_page_number(line: str, shapes: set[str], lines: list[str]) -> str:
    """A running line the first time, for what it says beside the number of its page; "" where that is nothing, or what
    another line of the page says."""
    if any("#" in shape for shape in shapes):
        line = _PAGE_NUMBER.sub("", line).strip(" ·|-–—•,;/")
    is_said = any(other.casefold() == line.casefold() for other in lines)
    return line if any(map(str.isalpha, line)) and (not is_said or line in lines) else ""


def repaired(line: str) -> str:
    """The line without what the setting of its letters left: signs of divided words, ligatures, spaces behind them."""
    if _SCANNED_BY.fullmatch(line.strip()):
        return ""
    line = _DIVIDED.sub("", _HYPHENATED.sub("-", line))
    line = "".join(unicodedata.normalize("NFKC", one) if "\ufb00" <= one <= "\ufb06" else one for one in line)
    return _AFTER_LIGATURE.sub(r"\1", line)


def _running(pages: list[dict[int, set[str]]]) -> set[str]:
    """The shapes that stand at the edges of most pages."""
    if len(pages) < 2:
        return set()
    seen = Counter(shape for edges in pages for shape in set().union(*edges.values()))
    least = max(2, ceil(len(pages) * _RUNNING_SHARE))
    return {
        shape
        for shape, count in seen.items()
        if count >= least and (_ONLY_A_NUMBER.match(shape) or any(character.isalpha() for character in shape))
    }


def _edges(lines: list[str]) -> set[int]:
    filled = [at for at, line in enumerate(lines) if line and not line.startswith(ROW)]
    return {*filled[:_MOST_EDGE_LINES], *filled[-_MOST_EDGE_LINES:]}


def _repeated(edges: dict[int, set[str]], running: set[str]) -> dict[int, set[str]]:
    """The lines of a page that are running ones, and by which shapes."""
    found: dict[int, set[str]] = {}
    for order in (sorted(edges), sorted(edges, reverse=True)):
        for place, at in enumerate(order[:_MOST_EDGE_LINES]):
            shapes = edges[at] & running
            if shapes:
                found[at] = shapes
            elif place >= _EDGE_LINES - 1:
                break
    return found


def _shapes(line: str, page: int, pages: int) -> set[str]:
    """What two running headers have in common: all of the line, or all but the page's number, which here is said by
    its distance from `page`. A number farther from it than there are pages is of something else, of a file for one."""
    line = " ".join(line.casefold().split())

    def distance(found: re.Match[str]) -> str:
        number = int(found[0]) if found[0].isdecimal() else _roman(found[0])
        return f"#{number - page}" if abs(number - page) <= pages else found[0]

    return {line, _PAGE_NUMBER.sub(lambda place: _NUMBER.sub(distance, place[0], count=1), line)}


def _roman(numeral: str) -> int:
    values = [_ROMAN[letter] for letter in numeral]
    return sum(-value if value < after else value for value, after in zip(values, [*values[1:], 0], strict=True))


# --- blocks -------------------------------------------------------------------------------------------------------


def _blocks(lines: list[tuple[str, int]]) -> list[_Block]:
    lengths = sorted(len(line) for line, _ in lines if line)
    width = lengths[int(len(lengths) * 0.9)] if lengths else 0
    blocks: list[list[tuple[str, int]]] = []
    previous = ""
    for line, page in lines:
        if line and previous and not _is_marked(line) and not _is_marked(previous) and _flows_on(previous, line, width):
            blocks[-1].append((line, page))
        elif line:
            blocks.append([(line, page)])
        elif page == (blocks[-1][0][1] if blocks else page):
            previous = ""
            continue
        previous = line or previous
    return [_block(lines) for lines in blocks]


def _is_marked(line: str) -> bool:
    return line.startswith((ROW, HEADING, _RUNNING))


def _block(lines: list[tuple[str, int]]) -> _Block:
    first, page = lines[0]
    if _is_marked(first):
        return _Block(first[1:].strip(), page, wrapped=False, mark=first[0])
    (text, _), *rest = _joined(lines)
    return _Block(text, page, wrapped=len(lines) > 1, rest=tuple(rest))


def _with_names(blocks: list[_Block]) -> list[_Block]:
    """With "CAPÍTULO II" and the name in the line below as one heading."""
    joined: list[_Block] = []
    for block in blocks:
        if joined and _is_name(joined[-1], block):
            joined[-1] = replace(joined[-1], text=f"{joined[-1].text}. {block.text}")
        else:
            joined.append(block)
    return joined


def _is_name(above: _Block, block: _Block) -> bool:
    text = block.text
    return (
        _BARE_NUMBERED.fullmatch(above.text) is not None
        and not block.wrapped
        and len(text) <= _LONGEST
        and block.mark != ROW
        and not text.endswith(_TERMINAL)
        and (text.isupper() or block.mark == HEADING or text.istitle())
        and _named_level(text) == 0
    )


def _flows_on(previous: str, line: str, width: int) -> bool:
    """Whether `line` goes on with the sentence of `previous`: its first word would not have fitted there, or it
    begins in lower case."""
    if _BULLET.match(line) or _numbered_level(line):
        return False
    if line[0].islower() and not previous.endswith((".", ":", ";", "!", "?")):
        return True
    if previous.endswith((".", ":", "!", "?")) and len(line) < width / 2:
        return False
    return len(previous) + 1 + len(line.split(maxsplit=1)[0]) > width * _FULL_LINE and len(previous) > width / 2


def _joined(lines: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """A paragraph's text with its page, for each of its pages. A word that a page's end divides stands on the first."""
    first, page = lines[0]
    joined = [([first], page)]
    for (before, _), (line, page) in pairwise(lines):
        parts, last = joined[-1]
        if before.endswith(_HYPHENS) and len(before) > 1 and before[-2].islower() and line[0].islower():
            word, _, others = (line, "", "") if page == last else line.partition(" ")
            parts[-1] = parts[-1][:-1]
            parts.append(word)
            if others:
                joined.append(([others], page))
        elif page == last:
            parts += (" ", line)
        else:
            joined.append(([line], page))
    return [("".join(parts), page) for parts, page in joined]


# --- headings -----------------------------------------------------------------------------------------------------


def _level(block: _Block, following: _Block | None, unnumbered: int) -> int:
    """The heading's level, 0 for text. A heading is a short line that prose or a list follows."""
    text = block.text
    if block.mark in (ROW, _RUNNING) or block.wrapped or len(text) > _LONGEST or following is None:
        return 0
    if block.mark == HEADING and any(map(str.isalpha, text)):
        return _numbered_level(text) or _counted_level(text) or 1
    if text.endswith(_TERMINAL):
        return 0
    numbered = _numbered_level(text)
    if numbered:
        return numbered if _is_prose(following) or _numbered_level(following.text) > numbered else 0
    if not (text[0].isupper() or text[0] in "¿¡«") or not _is_prose(following):
        return 0
    return 0 if _DIGITS.search(text) or "$" in text or "|" in text else unnumbered


def _named_level(text: str) -> int:
    named = _NAMED.match(text)
    return 0 if named is None else 1 if named[1] else 2


def _numbered_level(text: str) -> int:
    if len(text) > _LONGEST:
        return 0
    if level := _named_level(text):
        return level
    numbered = _NUMBERED.match(text)
    return numbered[1].count(".") + 1 if numbered else 0


def _counted_level(text: str) -> int:
    """As its number says, of a line whose letters make it a heading: it may end in a number."""
    counted = _COUNTED.match(text)
    return counted[1].count(".") + 1 if counted else 0


def _is_row(block: _Block) -> bool:
    """A list item, or a line that stands alone and ends no sentence: a table's row, an address."""
    return (
        block.mark == ROW
        or _BULLET.match(block.text) is not None
        or not (block.wrapped or block.text.endswith(_TERMINAL))
    )


def _is_prose(block: _Block) -> bool:
    return block.wrapped or block.text.endswith((".", ":", "?", "!")) or _BULLET.match(block.text) is not None
