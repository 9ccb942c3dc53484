"""Markdown, as people and converters write it, read into sections."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ateneo.i18n import tr
from ateneo.ingestion.parsing.front_matter import read_front_matter
from ateneo.ingestion.parsing.sections import SectionBuilder
from ateneo.ingestion.parsing.tables import table_text

_HEADING = re.compile(r" {0,3}(#{1,6})(?:\s|$)")
_SETEXT = re.compile(r" {0,3}(=+|-+)\s*$")
_RULE = re.compile(r" {0,3}([-*_])(?:\s*\1){2,}\s*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"(\s*)(?:[-*+•–]|(\d{1,9}[.)]))\s+(?=\S)")
_RULE_CELL = re.compile(r":?-*:?")
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_BACKTICKS = re.compile(r"`+")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)")
_REFERENCE_IMAGE = re.compile(r"!\[([^\[\]]*)\]\[[^\[\]]*\]")
_IMAGE_DEFINITION = re.compile(r" {0,3}\[[^\[\]]+\]:\s*<?data:")
_NOTE = re.compile(r" {0,3}\[\^([^\[\]\s]+)\]:")
_MARK = re.compile(r"\[\^([^\[\]\s]+)\]")
_AUTOLINK = re.compile(r"<(https?://[^<>\s]+)>")
_STARS = re.compile(r"(\*{1,3})(?=[^\s*])([^*]*[^\s*])\1")
_UNDERSCORES = re.compile(r"(?<!\w)(_{1,3})(?=[^\s_])([^_]*[^\s_])\1(?!\w)")
_STRIKES = re.compile(r"~~(?=\S)([^~]+)~~")
_PRIVATE = 0xE000
_ABSTRACTS = ("description", "descripción", "descripcion", "summary", "resumen", "abstract")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file in Markdown says. `outline` holds its sections, `metadata` its front matter."""

    builder: SectionBuilder
    metadata: Mapping[str, str | list[str]] = field(default_factory=dict)


def read_markdown(text: str) -> Reading:
    """Reads headings (# and underlined), paragraphs, lists, tables and fenced code, without their inline marks.

    Front matter becomes `metadata`, and its description the first text.
    """
    lines = [*_without_comments(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))]
    metadata, lines = read_front_matter(lines)
    lines, notes = _without_notes(lines)
    builder = SectionBuilder()
    for key in _ABSTRACTS:
        builder.text(str(metadata.get(key, "")))
    for block in _blocks(lines):
        if _FENCE.match(block[0]):
            _add(builder, block)
        else:
            _add_with_notes(builder, block, notes)
    for note in notes.values():
        builder.text(_note(note))
    return Reading(builder, metadata)


def _without_notes(lines: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The lines without the texts of footnotes, and these by their marks."""
    kept: list[str] = []
    notes: dict[str, str] = {}
    fence = name = ""
    for line in lines:
        before, fence = fence, _fence_after(line, fence)
        found = None if before or fence else _NOTE.match(line)
        if found:
            name = found[1]
            notes[name] = line[found.end() :].strip()
        elif name and line.startswith(("    ", "\t")):
            notes[name] = f"{notes[name]} {line.strip()}".strip()
        else:
            name = name if not line.strip() and name else ""
            kept.append(line)
    return kept, notes


def _add_with_notes(builder: SectionBuilder, block: list[str], notes: dict[str, str]) -> None:
    """The block without the marks of footnotes, these below it."""
    marks = [mark for mark in _MARK.findall("\n".join(block)) if mark in notes]
    if not marks:
        _add(builder, block)
        return
    bare = [_MARK.sub(lambda found: "" if found[1] in notes else found[0], line) for line in block]
    if not any(map(str.strip, bare)):
        return  # a mark that stands alone: what it belongs to comes later
    _add(builder, bare)
    for mark in marks:
        builder.text(_note(notes.pop(mark, "")))


def _note(text: str) -> str:
    return f"{tr('Nota', 'Note')}: {plain(text)}" if text else ""


def plain(text: str) -> str:
    """The text without inline marks: emphasis, code, links (their text stays), escapes."""
    text = _ESCAPE.sub(lambda found: chr(_PRIVATE + ord(found[1])), text)
    text = "\n".join(map(_code_hidden, text.split("\n"))) if "`" in text else text
    text = _LINK.sub(r"\1", _LINK.sub(r"\1", text))
    text = _REFERENCE_IMAGE.sub(r"\1", text)
    text = _AUTOLINK.sub(r"\1", text)
    for marks, group in ((_STARS, r"\2"), (_STARS, r"\2"), (_UNDERSCORES, r"\2"), (_STRIKES, r"\1")):
        text = marks.sub(group, text)
    return "".join(chr(ord(c) - _PRIVATE) if _PRIVATE <= ord(c) < _PRIVATE + 128 else c for c in text)


def _code_hidden(line: str) -> str:
    """The line without the backticks around code: a run of them ends with the next run of as many."""
    runs = list(_BACKTICKS.finditer(line))
    closing: dict[int, int] = {}
    ends = [0] * len(runs)
    for at in range(len(runs) - 1, -1, -1):
        length = len(runs[at][0])
        ends[at] = closing.get(length, at)
        closing[length] = at
    parts = []
    written = at = 0
    while at < len(runs):
        opening, end = runs[at], runs[ends[at]]
        if end is not opening:
            parts += [line[written : opening.start()], _hidden(line[opening.end() : end.start()])]
            written = end.end()
        at = ends[at] + 1
    return "".join([*parts, line[written:]])


def _hidden(code: str) -> str:
    return "".join(chr(_PRIVATE + ord(c)) if c.isascii() and c.isprintable() else c for c in code)


def _without_comments(lines: Sequence[str]) -> Iterator[str]:
    """The lines without <!-- comments -->, except in code, and without definitions of reference images."""
    last_end = max((at for at, line in enumerate(lines) if "-->" in line), default=-1)
    fence = ""
    open_comment = False
    for at, whole in enumerate(lines):
        line = whole
        if open_comment:
            _, ended, line = line.partition("-->")
            if not ended:
                continue
            open_comment = False
        before, fence = fence, _fence_after(line, fence)
        if before or fence:
            yield line
        elif "<!--" in line:
            kept, open_comment = _before_comments(line, goes_on=last_end > at)
            yield kept
        elif not _IMAGE_DEFINITION.match(line):
            yield line


def _before_comments(line: str, goes_on: bool) -> tuple[str, bool]:
    """The line without its comments, and whether the last one is open; `goes_on`: it may end in a later line."""
    kept = []
    at = 0
    while (start := line.find("<!--", at)) >= 0:
        if line.count("`", at, start) % 2:
            end = line.find("`", start) + 1 or len(line)
            kept.append(line[at:end])
            at = end
        elif (end := line.find("-->", start + 4)) >= 0:
            kept.append(line[at:start])
            at = end + 3
        else:
            return "".join([*kept, line[at:start] if goes_on else line[at:]]), goes_on
    return "".join([*kept, line[at:]]), False


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Runs of lines that belong together: a fence with its code, a heading, or what blank lines separate."""
    block: list[str] = []
    fence = ""
    for line in lines:
        before, fence = fence, _fence_after(line, fence)
        if before:
            block.append(line)
            if not fence:
                yield block
                block = []
        elif fence or _HEADING.match(line):
            if block:
                yield block
            block = [line]
            if not fence:
                yield block
                block = []
        elif line.strip():
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _fence_after(line: str, fence: str) -> str:
    """The marks of the fence that is open behind the line, "" where none is; `fence`: before it."""
    mark = _FENCE.match(line)
    if not fence:
        return mark[1] if mark else ""
    return "" if mark and mark[1].startswith(fence) and not line.strip(" `~") else fence


def _add(builder: SectionBuilder, block: list[str]) -> None:
    if found := _HEADING.match(block[0]):
        builder.heading(len(found[1]), plain(_without_closing_marks(block[0][found.end(1) :].strip())).strip())
    elif _FENCE.match(block[0]):
        closed = len(block) > 1 and _FENCE.match(block[-1])
        builder.text("\n".join(block[1:-1] if closed else block[1:]))
    elif len(block) > 1 and "|" in block[0] and _is_table_rule(block[1]):
        builder.table(table_text([[*map(plain, _cells(line))] for at, line in enumerate(block) if at != 1]))
    else:
        _add_prose(builder, block)


def _without_closing_marks(heading: str) -> str:
    bare = heading.rstrip("#")
    return bare.rstrip() if not bare or bare[-1].isspace() else heading


def _add_prose(builder: SectionBuilder, block: list[str]) -> None:
    lines: list[str] = []
    for line in block:
        underline = _SETEXT.match(line)
        if underline and lines and not _ITEM.match(lines[0]):
            builder.heading(1 if underline[1][0] == "=" else 2, plain(" ".join(lines)))
            lines = []
        elif not _RULE.match(line):
            lines.append(line)
    builder.text(plain(_flowed(lines)))


def _flowed(lines: list[str]) -> str:
    """Wrapped lines as one; list items and hard breaks (two spaces, or a backslash) stay lines."""
    flowed: list[list[str]] = []
    breaks = True
    for raw in lines:
        item = _ITEM.match(raw)
        line = _item(raw, item) if item else raw.strip().lstrip("> ")
        hard = raw.endswith("\\")
        line = line[:-1].rstrip() if hard else line
        if breaks or item:
            flowed.append([line])
        else:
            flowed[-1].append(line)
        breaks = hard or raw.endswith("  ")
    return "\n".join(" ".join(parts) for parts in flowed)


def _item(raw: str, found: re.Match[str]) -> str:
    return f"{found[2] or '-'} {raw[found.end() :].strip()}"


def _is_table_rule(line: str) -> bool:
    first, *others = _cells(line)
    return "-" in first and all(_RULE_CELL.fullmatch(cell) for cell in (first, *others))


def _cells(line: str) -> list[str]:
    inner = line.strip()
    inner = inner.removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [cell.strip() for cell in _CELL_BORDER.split(inner)]
