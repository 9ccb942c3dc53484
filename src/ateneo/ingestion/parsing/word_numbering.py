"""The labels of numbered paragraphs, counted as Word counts them (ECMA-376 part 1, 17.9)."""

import re
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PLACE = re.compile(r"%([1-9])")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_LETTERS = 26


@dataclass(slots=True)
class _Level:
    start: int = 1
    kind: str = "decimal"
    text: str = ""
    style: str = ""
    restart: int | None = None

    def goes_on(self, used: int) -> bool:
        """Whether it is counted on where a level above it, `used`, had its turn."""
        return self.restart is not None and used >= self.restart


@dataclass(slots=True)
class _List:
    """The levels of one list and how far each was counted."""

    levels: dict[int, _Level] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)


class Numbering:
    """Of one document, asked paragraph by paragraph. `root`: word/numbering.xml, None where there is none."""

    def __init__(self, root: Element | None) -> None:
        self._lists: dict[str, _List] = {}
        self._starts: dict[str, dict[int, int]] = {}
        self._begun: set[str] = set()
        if root is None:
            return
        abstract = {one.get(f"{W}abstractNumId", ""): _levels(one) for one in root.iter(f"{W}abstractNum")}
        lists = {name: _List(levels) for name, levels in abstract.items()}
        for one in root.iter(f"{W}num"):
            name = one.get(f"{W}numId", "")
            self._lists[name] = lists.get(value_of(one.find(f"{W}abstractNumId")), _List())
            self._starts[name] = {
                int(over.get(f"{W}ilvl", "0")): int(value)
                for over in one.iter(f"{W}lvlOverride")
                if (value := value_of(over.find(f"{W}startOverride"))).isdecimal()
            }

    def next_label(self, number: str, level: int, style: str = "") -> str:
        """The label of the next paragraph of a list: "2.1", "c)", "-" for a bullet, "" where there is no such list.
        `style`: the paragraph's, whose level a list may name."""
        found = self._lists.get(number)
        if found is None:
            return ""
        level = next((at for at, one in found.levels.items() if style and one.style == style), level)
        if number not in self._begun:
            self._begun.add(number)
            for at, start in self._starts[number].items():
                found.counts[at] = start - 1
        for above in range(level):
            found.counts.setdefault(above, found.levels.get(above, _Level()).start)
        own = found.levels.get(level, _Level())
        found.counts[level] = found.counts.get(level, own.start - 1) + 1
        found.counts = {
            at: count
            for at, count in found.counts.items()
            if at <= level or found.levels.get(at, _Level()).goes_on(level)
        }
        if own.kind == "bullet":
            return "-"
        if own.kind == "none":
            return ""
        return _PLACE.sub(lambda place: self._count(found, int(place[1]) - 1), own.text).strip()

    @staticmethod
    def _count(found: _List, level: int) -> str:
        return written(found.counts.get(level, 1), found.levels.get(level, _Level()).kind)


def _levels(abstract: Element) -> dict[int, _Level]:
    levels = {}
    for one in abstract.iter(f"{W}lvl"):
        start, restart = value_of(one.find(f"{W}start")), value_of(one.find(f"{W}lvlRestart"))
        levels[int(one.get(f"{W}ilvl", "0"))] = _Level(
            start=int(start) if start.isdecimal() else 1,
            kind=value_of(one.find(f"{W}numFmt")) or "decimal",
            text=value_of(one.find(f"{W}lvlText")),
            style=value_of(one.find(f"{W}pStyle")),
            restart=int(restart) if restart.isdecimal() else None,
        )
    return levels


def written(count: int, kind: str) -> str:
    """The number as lists of that kind (`w:numFmt`) write it."""
    match kind:
        case "lowerLetter" | "upperLetter" if count > 0:
            letters = chr(ord("a") + (count - 1) % _LETTERS) * ((count - 1) // _LETTERS + 1)
            return letters.upper() if kind == "upperLetter" else letters
        case "lowerRoman" | "upperRoman" if 0 < count < 4000:
            return _roman(count).upper() if kind == "upperRoman" else _roman(count)
        case "decimalZero":
            return f"{count:02}"
        case "ordinal":
            return f"{count}.º"
    return str(count)


def _roman(count: int) -> str:
    letters = ""
    for value, name in _ROMAN:
        letters += name * (count // value)
        count %= value
    return letters


def value_of(element: Element | None) -> str:
    """The attribute `w:val`, "" where there is none."""
    return "" if element is None else element.get(f"{W}val", "")
