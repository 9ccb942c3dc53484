"""The SQL that this version brings: migrations, which run once, and function files, which run when they change."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources

_COMMENT = re.compile(r"'(?:[^']|'')*'|--[^\n]*")
_DEFINED = re.compile(r"CREATE OR REPLACE (?:FUNCTION|PROCEDURE) ateneo\.(\w+)", re.IGNORECASE)
_TRIGGER = re.compile(r"CREATE OR REPLACE TRIGGER (\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class SchemaFile:
    """One file below db/sql/: `name` is what the database records it by."""

    name: str
    sql: str

    @cached_property
    def digest(self) -> str:
        """Of the text; a function file's comments do not count, since they change nothing that runs."""
        text = self.sql if self.name.startswith("migrations/") else _without_comments(self.sql)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def functions(self) -> list[str]:
        return sorted(set(_DEFINED.findall(self.sql)))

    @cached_property
    def triggers(self) -> list[str]:
        return sorted(set(_TRIGGER.findall(self.sql)))


def _without_comments(sql: str) -> str:
    bare = _COMMENT.sub(lambda found: "" if found[0].startswith("--") else found[0], sql)
    return "\n".join(line for line in map(str.rstrip, bare.splitlines()) if line)


@lru_cache
def _files(folder: str) -> tuple[SchemaFile, ...]:
    place = resources.files("ateneo.db") / "sql" / folder
    found = (SchemaFile(f"{folder}/{item.name}", item.read_text(encoding="utf-8")) for item in place.iterdir())
    return tuple(sorted((item for item in found if item.name.endswith(".sql")), key=lambda item: item.name))


def migrations() -> tuple[SchemaFile, ...]:
    """In the order in which they run."""
    return tuple(item for item in _files("migrations") if item.name != "migrations/record.sql")


def chunks_table() -> SchemaFile:
    """The guide's table, for a database that has none."""
    return next(item for item in _files("migrations") if item.name == "migrations/record.sql")


def function_files() -> tuple[SchemaFile, ...]:
    """In the order in which they run."""
    return _files("functions")


def number_of(name: str) -> int:
    """The number of a migration."""
    return int(name.removeprefix("migrations/").split("_")[0])
