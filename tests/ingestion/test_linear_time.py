"""No pattern takes more than linear time: 1.5 kB of Markdown once stopped a server for four seconds.

Every pattern at a module's level is run over long repetitions of the characters that it knows. The limit is one of
processor time: a hundred times what a linear pattern takes, and less than a quadratic one does.
"""

import importlib
import pkgutil
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from re import _parser
from typing import Any

import pytest

import ateneo
from ateneo.ingestion.parsing.markdown import read_markdown
from ateneo.ingestion.parsing.pdf_pages import read_pages
from ateneo.ingestion.parsing.sections import SectionBuilder

PACKAGES = ("ateneo.text", "ateneo.services", "ateneo.db", "ateneo.api")
LENGTH = 20_000
SECONDS = 0.25
MOST_CHARACTERS = 10
CATEGORIES = {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "1", "CATEGORY_WORD": "a"}

BOUNDED = {
    "ateneo.text.sentences._LAST_WORD": "reads 24 characters",
    "ateneo.ingestion.parsing.pdf_pages._PAGE_NUMBER": "what it reads has no two spaces in a row",
}


def _patterns() -> Iterator[tuple[str, re.Pattern[str], bool]]:
    """Each pattern with its name, and whether it is looked for anywhere in a text, not at its start alone."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(ateneo.__path__, "ateneo.")
        if found.name.startswith(PACKAGES)
    ]
    sources = [Path(module.__file__ or "").read_text(encoding="utf-8") for module in modules]
    for module, source in zip(modules, sources, strict=True):
        for name, value in vars(module).items():
            own = isinstance(value, re.Pattern) and re.search(rf"^{name}\b.*=", source, re.MULTILINE)
            if own and isinstance(value.pattern, str) and f"{module.__name__}.{name}" not in BOUNDED:
                searching = re.compile(rf"\b{name}\.(?:search|finditer|findall|sub|split)\b")
                yield f"{module.__name__}.{name}", value, any(map(searching.search, sources))


def _characters(tree: Any) -> Iterator[str]:
    for kind, value in tree:
        name = str(kind)
        if name in ("LITERAL", "NOT_LITERAL"):
            yield chr(value)
        elif name == "RANGE":
            yield chr(value[0])
        elif name == "CATEGORY":
            yield CATEGORIES.get(str(value), ",")
        elif name in ("IN", "ATOMIC_GROUP"):
            yield from _characters(value)
        elif name == "BRANCH":
            for branch in value[1]:
                yield from _characters(branch)
        elif name.endswith(("REPEAT", "SUBPATTERN", "ASSERT", "ASSERT_NOT")):
            yield from _characters(value[-1])


def _hostile(pattern: re.Pattern[str]) -> Iterator[str]:
    known = sorted({*_characters(_parser.parse(pattern.pattern, pattern.flags))})
    step = max(1, len(known) // MOST_CHARACTERS)
    characters = sorted({*known[::step], " ", "a"})
    for one in characters:
        for other in characters:
            yield other + one * LENGTH + "\x00"
            yield (one + other) * (LENGTH // 2) + "\x00"


class TooSlow(Exception):
    pass


@pytest.fixture
def limited() -> Iterator[Any]:
    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, stop)
    yield lambda seconds: signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize(("pattern", "anywhere"), [pytest.param(p, any_, id=name) for name, p, any_ in _patterns()])
def test_a_pattern_takes_linear_time(pattern: re.Pattern[str], anywhere: bool, limited: Any) -> None:
    for text in _hostile(pattern):
        limited(SECONDS)
        try:
            if anywhere:
                for _ in pattern.finditer(text):
                    pass
            else:
                pattern.match(text)
                pattern.fullmatch(text)
        except TooSlow:
            pytest.fail(f"{pattern.pattern!r} over {text[:4]!r}...")


def test_a_quadratic_pattern_is_seen(limited: Any) -> None:
    with pytest.raises(pytest.fail.Exception):
        test_a_pattern_takes_linear_time(re.compile(r"\s+$"), True, limited)


TABLE = "Texto | x\n-|"
PATHOLOGICAL = {
    "table": TABLE + " " * 200_000 + "x",
    "pipes": "a | b\n" + "|-" * 100_000 + "x",
    "heading": "# a" + " " * 200_000 + "b",
    "backticks": "".join("`" * n + " a " for n in range(1, 600)),
    "field": "---\n" + "a" * 200_000 + "\n---\nx",
    "fences": "```\n~~~\n" * 50_000,
    "emphasis": "*a _b " * 40_000,
    "quotes": ">" * 200_000 + "x",
    "lists": "".join(" " * n + "- a\n" for n in range(600)),
    "links": "[a](" * 50_000,
    "brackets": "[" * 200_000,
    "comments": "<!--" * 50_000,
    "underlines": "a\n-\n" * 50_000,
    "breaks": "a\\\n" * 60_000,
}


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_markdown_is_read_in_linear_time(name: str, limited: Any) -> None:
    limited(20)
    assert read_markdown(PATHOLOGICAL[name]).builder.sections()


def test_long_tables_and_paragraphs_in_a_pdf_are_read_in_linear_time(limited: Any) -> None:
    row = "Caño de acero inoxidable de media pulgada con rosca por unidad"
    limited(20)
    assert read_pages([f"{row}\n" * 100_000]).sections()
    assert read_pages([f"{row}\n{row.lower()}\n" * 50_000]).sections()


def test_rows_are_added_to_a_block_in_linear_time(limited: Any) -> None:
    builder = SectionBuilder()
    limited(20)
    for _ in range(300_000):
        builder.line("caño de acero inoxidable de media pulgada con rosca, por unidad")
    [section] = builder.sections()
    assert section.text.count("\n") == 299_999
