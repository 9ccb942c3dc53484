"""The pages of docs/ that `make docs` cannot check: the index of decisions, and the two languages of the how-tos."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
HOW_TOS = sorted(path.name for path in (DOCS / "how-to").glob("*.md"))
COMMENT = re.compile(r"(^|\s+)(#|--) .*$", re.MULTILINE)
DECISIONS = sorted((DOCS / "adr").glob("0*.md"))


def test_the_index_names_every_decision_by_its_title() -> None:
    titles = [re.match(r"# (\d+)\. (.+)", path.read_text(encoding="utf-8")) for path in DECISIONS]
    rows = [f"| [{one[1]}]({path.name}) | {one[2]} |" for one, path in zip(titles, DECISIONS, strict=True) if one]
    index = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[.+$", index, re.MULTILINE) == rows


def test_the_index_names_every_hole() -> None:
    used = [int(path.name[:4]) for path in DECISIONS]
    assert len(set(used)) == len(used)
    holes = sorted(set(range(1, max(used))) - set(used))
    text = f"{', '.join(map(str, holes[:-1]))} and {holes[-1]}"
    assert text in (DOCS / "adr" / "README.md").read_text(encoding="utf-8")


def _blocks(page: str) -> list[str]:
    """What is to be typed: the code blocks, fenced or indented, without their comments."""
    fenced = re.findall(r"^```.*?^```", page, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"(?:^ {4}.*\n?)+", rest, re.MULTILINE)
    return [COMMENT.sub("", block).rstrip() for block in (*fenced, *indented)]


def test_every_how_to_is_in_both_languages() -> None:
    assert sorted(path.name for path in (DOCS / "es" / "how-to").glob("*.md")) == HOW_TOS


@pytest.mark.parametrize("name", HOW_TOS)
def test_both_languages_have_the_same_commands(name: str) -> None:
    english = (DOCS / "how-to" / name).read_text(encoding="utf-8")
    spanish = (DOCS / "es" / "how-to" / name).read_text(encoding="utf-8")
    assert _blocks(spanish) == _blocks(english)
    assert f"(../es/how-to/{name})" in english
    assert f"(../../how-to/{name})" in spanish
