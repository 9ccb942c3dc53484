"""Sections as they are read from a file: headings open them, blocks of text fill them."""

from dataclasses import dataclass, field, replace

from ateneo.types import NO_REPORT, ReadingReport, Section

LONGEST_HEADING = 200


@dataclass(slots=True)
class SectionBuilder:
    """Collects headings and text in reading order. `page` is where what comes next stands; `report` what the reader
    says of its reading."""

    page: int | None = None
    first_heading: str = ""
    report: ReadingReport = NO_REPORT
    _path: list[tuple[int, str]] = field(default_factory=list)
    _blocks: list[list[str]] = field(default_factory=list)
    _sections: list[Section] = field(default_factory=list)
    _bare: bool = False
    _continues: bool = False

    def heading(self, level: int, text: str) -> None:
        """A heading; `level` counts from 1. One that is too long to be a heading is text."""
        if not text:
            return
        if len(text) > LONGEST_HEADING:
            self.text(text)
            return
        self._close(level)
        self.first_heading = self.first_heading or text
        self._path = [*(above for above in self._path if above[0] < level), (level, text)]
        self._bare = True

    def text(self, block: str) -> None:
        """A paragraph, list or table, lines between line ends."""
        if block.strip():
            self._blocks.append([block.strip()])
            self._bare = False

    def table(self, lines: str) -> None:
        """A table's rows, each a line."""
        if lines.strip():
            self.report = self.report.with_table()
            self.text(lines)

    def line(self, text: str) -> None:
        """A further line of the last block: a list item, a table's row."""
        if self._blocks:
            self._blocks[-1].append(text)
        else:
            self.text(text)

    def turn_to(self, page: int) -> None:
        """What follows stands on `page`."""
        if page != self.page:
            self._flush()
            self.page = page

    def continue_on(self, page: int, text: str) -> None:
        """The rest of the last paragraph, which stands on `page`."""
        self._flush()
        self.page = page
        self._continues = True
        self._blocks = [[text]]

    def letters(self) -> int:
        """How many letters it has so far."""
        blocks = [line for block in self._blocks for line in block]
        return sum(sum(map(str.isalpha, text)) for text in (*blocks, *(one.text for one in self._sections)))

    def sections(self) -> tuple[Section, ...]:
        self._close(0)
        return tuple(self._sections)

    def _close(self, level: int) -> None:
        """Ends the open section. A heading that nothing stands under becomes text, so that it is not lost."""
        if self._bare and self._path and level <= self._path[-1][0]:
            _, heading = self._path.pop()
            self._blocks.append([heading])
        self._bare = False
        self._flush()

    def _flush(self) -> None:
        if self._blocks:
            headings = tuple(text for _, text in self._path)
            text = "\n\n".join(map("\n".join, self._blocks))
            self._sections.append(Section(text, headings, self.page, self._continues))
            self._blocks = []
            self._continues = False


def under_title(sections: tuple[Section, ...], title: str) -> tuple[Section, ...]:
    """The sections with `title` as the first of their headings, where it is not that already.

    One that only repeats the title is left out.
    """
    if len(sections) > 1:
        sections = tuple(section for section in sections if section.text.casefold() != title.casefold())
    return tuple(
        section
        if section.headings and section.headings[0].casefold() == title.casefold()
        else replace(section, headings=(title, *section.headings))
        for section in sections
    )
