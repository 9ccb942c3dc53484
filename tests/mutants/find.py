"""All mutants, found by parsing what is there now."""

from collections.abc import Iterator
from pathlib import Path

from tests.mutants import python, sql
from tests.mutants.mutant import PACKAGE, Mutant, numbered

FUNCTIONS = Path("db", "sql", "functions")


def mutants(package: Path = PACKAGE) -> list[Mutant]:
    return list(numbered(_found(package)))


def _found(package: Path) -> Iterator[Mutant]:
    for file in sorted(package.glob(f"{FUNCTIONS}/*.sql")):
        yield from sql.of_file(str(file.relative_to(package)), file.read_text(encoding="utf-8"))
    for file in sorted(package.rglob("*.py")):
        yield from python.of_file(str(file.relative_to(package)), file.read_text(encoding="utf-8"))
