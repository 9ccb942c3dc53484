"""The SQL that this version brings: migrations, which run once, and function files, which run when they change."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources

FUNCTION_FILES = {
    "fold": "010_fold",
    "identifiers": "015_identifiers",
    "analysis": "020_analysis",
    "tenant": "030_tenant",
    "generation": "040_generation",
    "live_generations": "041_live",
    "first_model": "045_first_model",
    "sync": "050_sync",
    "stale_vectors": "051_stale",
    "queue": "055_queue",
    "suspects": "056_suspects",
    "budget": "057_budget",
    "switch": "058_switch",
    "vectors": "060_vectors",
    "statistics": "070_stats",
    "query": "075_query",
    "filter": "077_filter",
    "search": "080_search",
    "reconcile": "090_reconcile",
    "indexes": "100_indexes",
    "rebuild": "110_rebuild",
    "writing": "115_writing",
    "versions": "118_versions",
    "protect": "120_protect",
    "tenant_functions": "125_tenant_doors",
    "queue_functions": "126_queue_doors",
    "documents": "128_documents",
    "document_chunks": "document_chunks",
    "sources": "sources",
    "jobs": "jobs",
    "originals": "originals",
    "agents": "agents",
    "conversations": "conversations",
    "turns": "turns",
    "query_log": "query_log",
    "audit": "audit",
    "usage": "usage",
    "synonyms": "synonyms",
    "passages": "passages",
    "kept_answers": "kept_answers",
    "erase": "130_erase",
}
"""The function files, in the order in which they run, each with the name that the database records it by: the one under
which programs know it that were there before it was renamed. A new file is recorded by its own name."""
_CHUNKS_TABLE = "record.sql"
_COMMENT = re.compile(r"'(?:[^']|'')*'|--[^\n]*")
_DEFINED = re.compile(r"CREATE OR REPLACE (?:FUNCTION|PROCEDURE) ateneo\.(\w+)", re.IGNORECASE)
_TRIGGER = re.compile(r"CREATE OR REPLACE TRIGGER (\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class SchemaFile:
    """One file below db/sql/: `name` is what the database records it by, `path` where its text stands."""

    name: str
    sql: str
    path: str = ""

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
def _files(folder: str) -> dict[str, str]:
    """The text of each of its SQL files, by name, in the order of the names."""
    found = (item for item in (resources.files("ateneo.db") / "sql" / folder).iterdir() if item.name.endswith(".sql"))
    return {item.name: item.read_text(encoding="utf-8") for item in sorted(found, key=lambda item: item.name)}


@lru_cache
def migrations() -> tuple[SchemaFile, ...]:
    """In the order in which they run."""
    names = {name: f"migrations/{name}" for name in _files("migrations") if name != _CHUNKS_TABLE}
    return tuple(SchemaFile(full, _files("migrations")[name], full) for name, full in names.items())


def chunks_table() -> str:
    """Makes the guide's table, for a database that has none."""
    return _files("migrations")[_CHUNKS_TABLE]


@lru_cache
def function_files() -> tuple[SchemaFile, ...]:
    """In the order in which they run."""
    return tuple(
        SchemaFile(f"functions/{recorded}.sql", _files("functions")[f"{name}.sql"], f"functions/{name}.sql")
        for name, recorded in FUNCTION_FILES.items()
    )


def number_of(name: str) -> int:
    """The number of a migration."""
    return int(name.removeprefix("migrations/").split("_")[0])
