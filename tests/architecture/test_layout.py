"""The habits that a machine can check; import-linter (`make check`) has the layers."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "ateneo"
MODULES = sorted(PACKAGE.rglob("*.py"))
SQL_WORDS = re.compile(r"\b(SELECT\b.+\bFROM|INSERT INTO|UPDATE\b.+\bSET|DELETE FROM|CREATE TABLE)\b", re.S)


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _strings(tree: ast.AST) -> Iterator[str]:
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_files_are_short() -> None:
    lines = {_name(path): len(path.read_text().splitlines()) for path in MODULES}
    most = {"errors.py": 350, "error_texts.py": 450}  # one table each
    assert {name: count for name, count in lines.items() if count > most.get(name, 400)} == {}


def test_sql_lives_in_db() -> None:
    """error_texts.py shows users the statements that they can run; nothing there is executed."""
    found = {_name(path): text for path in MODULES for text in _strings(ast.parse(path.read_text()))
             if SQL_WORDS.search(text) and not path.is_relative_to(PACKAGE / "db")}  # fmt: skip
    assert found.keys() <= {"error_texts.py"}, found


def test_the_guides_names_only_reexport() -> None:
    for path in sorted((ROOT / "backend" / "services").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            assert isinstance(node, ast.Expr | ast.ImportFrom | ast.Assign), (path.name, node.lineno)


def test_the_wheel_holds_ateneo_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["src/ateneo"]


def test_nothing_names_a_registry_or_a_folder_of_one_machine() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    # put together here, so that this file does not trip over itself
    forbidden = re.compile(
        "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "registry" + r"\.npmjs", "--(extra-)?index-url h"])
    )
    for name in filter(None, files):
        path = ROOT / name
        if (
            path.suffix in {".py", ".md", ".toml", ".lock", ".sql", ".json", ".txt", ""}
            and path.stat().st_size < 2_000_000
        ):
            assert not forbidden.search(path.read_text(encoding="utf-8", errors="ignore")), name


class _AtImport(ast.NodeVisitor):
    """The calls of `tr` that run when a module is loaded: not inside the body of a function."""

    def __init__(self) -> None:
        self.lines: list[int] = []

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        for part in (*getattr(node, "decorator_list", ()), node.args, getattr(node, "returns", None)):
            if part is not None:
                self.visit(part)

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "tr":
            self.lines.append(node.lineno)
        self.generic_visit(node)


def _chosen_at_import(path: Path) -> list[int]:
    found = _AtImport()
    found.visit(ast.parse(path.read_text()))
    return found.lines


def test_no_text_is_chosen_before_the_language_is_known() -> None:
    """Commands are loaded once it is (cli/main.py); what else is made at import holds `i18n.both`."""
    outside = [path for path in MODULES if not path.is_relative_to(PACKAGE / "cli")]
    assert {_name(path): lines for path in outside if (lines := _chosen_at_import(path))} == {}
