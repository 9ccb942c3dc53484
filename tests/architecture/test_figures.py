"""Numbers that people read are written by `ateneo.i18n`, and agree with their nouns: "1 chunk", "12 536 chunks"."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "ateneo"
OTHERS = ("i18n.py", "cell_format.py", "spreadsheets.py")
"""Where the numbers are written, and where those of somebody's file are read."""
FILES = [one for one in sorted(PACKAGE.rglob("*.py")) if one.name not in OTHERS] + [ROOT / "examples" / "demo.py"]

FIGURE = re.compile(r"[,%_]|\.\d*[efg%]?$|[efg]$")
"""Format specs that write thousands, decimals or percentages."""
TEMPLATE = re.compile(r"\{[\w.\[\]]*:[^{}]*(,|\.\d+[efg%]?)\}")
NOT_FOR_PEOPLE = {
    "found.best": "the value of a setting, to be typed",
    "self.dense_weight": "a configuration's name, the same in --json",
    "patience.wait_s * 1000": "the value of a PostgreSQL setting",
}

PLURAL = re.compile(r" ([a-zñáéíóú]{3,}s)\b(?![/=(])")
NO_NOUNS = {"after", "asks", "becomes", "does", "gives", "names", "needs", "refuses", "says", "takes", "después"}
"""Words in -s that follow a name in a text, and are no plural of a noun."""
NEVER_ONE = {
    "number(answer.output_tokens)": "the tokens in + the tokens out",
    "tokens": "the tokens in + the tokens out",
    "mean": "with its decimal: 1,0 puntos",
    "number(longest)": "a limit",
}


def _specs(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """The placeholders of f-strings, each with its format spec."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue) and isinstance(node.format_spec, ast.JoinedStr):
            parts = (one.value for one in node.format_spec.values if isinstance(one, ast.Constant))
            yield node.value, "".join(map(str, parts))


def _figures(source: str) -> list[str]:
    tree = ast.parse(source)
    found = [
        f"{value.lineno}: {ast.unparse(value)}:{spec}"
        for value, spec in _specs(tree)
        if FIGURE.search(spec) and ast.unparse(value) not in NOT_FOR_PEOPLE
    ]
    return found + [
        f"{node.lineno}: {node.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and TEMPLATE.search(node.value)
        if "{urn:" not in node.value  # an XML namespace
    ]


def _plurals(source: str) -> list[str]:
    """Nouns in the plural right after a placeholder, which may be one. A limit (a CONSTANT) never is."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if not isinstance(value, ast.FormattedValue) or not isinstance(text, ast.Constant):
                continue
            noun = PLURAL.match(str(text.value))
            shown = ast.unparse(value.value)
            if noun and noun[1] not in NO_NOUNS and shown not in NEVER_ONE and not re.search(r"\b[A-Z_]{3,}\b", shown):
                found.append(f"{value.lineno}: {{{shown}}} {noun[1]}")
    return found


def _offenders(find: Callable[[str], list[str]]) -> dict[str, list[str]]:
    return {str(path.relative_to(ROOT)): found for path in FILES if (found := find(path.read_text()))}


def test_numbers_are_written_by_i18n() -> None:
    """`i18n.number`, `percent`, `dollars` or `size`; what stands in NOT_FOR_PEOPLE is read by programs."""
    assert _offenders(_figures) == {}


def test_a_noun_agrees_with_its_number() -> None:
    """`i18n.count(n, "documento", "documentos")`, or a text that does not need it: `documentos: {number(n)}`."""
    assert _offenders(_plurals) == {}


def test_the_tests_see_what_they_look_for() -> None:
    assert len(_figures('f"{n:,} {x:.1f} {share:.0%} {usd:.{places}f} {when:%H} {x:>8} {x!r:<4} {x:g} {n}"')) == 6
    assert _figures('bar("{task.percentage:.1f}%", "{task.done:,}", "{name}: {detail}")') != []
    assert len(_plurals('f"{n} chunks, {len(a)} nuevos y {k} documentos en {ms} ms, {rate} chunks/s"')) == 3
    assert _plurals('f"{name} says {a} is {MOST} bytes, {graph} gives {b} más"') == []
