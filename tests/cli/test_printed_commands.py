"""Every `ateneo ...` that a text of the program or a page of docs/ names is a command with those options."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from ateneo.cli import commands

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "ateneo").rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "README.es.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "adr" not in page.parts]

# to the end of what is said of one command: a mark around it, a sentence's end, a pipe, a comment
COMMAND = re.compile(r"(?<![\w./=\[-])(?<!from )ateneo ((?:[a-z][a-z-]*|--[a-z][a-z-]*)(?![\w:])(?:[^`\n;|·)»#]|#\w)*)")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
OPTION = re.compile(r"(?<!\S)--?[a-z][a-z-]*")
PROSE = re.compile(r"[.,:;?!)\]]+$")


@cache
def program() -> Any:
    return typer.main.get_command(commands.build())


def mistake(words: str) -> str:
    """What is wrong with a command line (behind `ateneo`), "" where nothing is."""
    command, path = program(), ["ateneo"]
    inner: dict[str, Any] = {}
    tokens = [PROSE.sub("", word) for word in re.split(r"\.\s|\s+", QUOTED.sub("X", words))]
    while tokens and tokens[0] in (inner := getattr(command, "commands", {})):
        path.append(tokens.pop(0))
        command = inner[path[-1]]
    if inner and tokens and re.fullmatch(r"[a-z][a-z-]*", tokens[0]):
        return f"{' '.join(path)} has no {tokens[0]}"
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help"} | ({"--version"} if len(path) == 1 else set())
    wrong = [option for option in OPTION.findall(" ".join(tokens)) if option not in known]
    return f"{' '.join(path)} has no {', '.join(wrong)}" if wrong else ""


def texts(path: Path) -> Iterator[str]:
    """The strings of a program, X for what is put into them; a page's code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield from (found[0] for found in re.finditer(r"^```.*?^```|`[^`\n]+`", text, re.M | re.S))
        return
    tree = ast.parse(text)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def named(path: Path) -> list[str]:
    return [found[1] for text in texts(path) for found in COMMAND.finditer(text.replace("\\\n", " "))]


def test_they_are_commands() -> None:
    found = [(path.relative_to(ROOT), words) for path in (*SOURCES, *PAGES) for words in named(path)]
    assert len(found) > 300
    wrong = [f"{path}: {problem} ({words[:60]})" for path, words in found if (problem := mistake(words))]
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ("db upgrade", True),
        ("db upgrade --plan", True),
        ("keys create --empresa-id X --scope search", True),
        ("--version", True),
        ("db downgrade", False),
        ("downgrade", False),
        ("db upgrade --force", False),
        ("search --empresa-id X --how-many 3", False),
    ],
)
def test_it_sees_what_is_wrong(words: str, right: bool) -> None:
    assert (mistake(words) == "") is right
