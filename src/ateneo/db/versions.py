"""Which version of the schema a database has, which one this program brings, and whether the two go together.

A program is ready where the database has what it needs and has not gone on without it: an older program goes on while
a newer one has upgraded the database, and does not upgrade it back (docs/adr/0033-versions.md).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ateneo.db.pool import Connection, Database
from ateneo.db.schema_files import SchemaFile, function_files, migrations, number_of
from ateneo.errors import MigrationChanged, NotUpgraded, SchemaNewer

VERSION = max(number_of(item.name) for item in migrations())
"""Of this program: the highest number of its migrations."""
LEAST_COMPATIBLE = 50
"""The oldest program that works with this one's schema: raised by the release that drops what an older one calls. Those
before 50 read tables as the application, which has no right on them any more."""

_RECORDED = """SELECT v.version, v.least_compatible,
  ARRAY(SELECT name FROM ateneo.applied WHERE name LIKE 'migrations/%') AS migrations,
  ARRAY(SELECT name || ' ' || sha256 FROM ateneo.function_file) AS function_files
  FROM ateneo.schema_version v"""
_INSTALLED = """INSERT INTO ateneo.function_file AS f (name, sha256, made) VALUES ($1, $2, ateneo.made($3, $4))
  ON CONFLICT (name, sha256) DO UPDATE SET is_current = true, made = excluded.made,
    installed_at = CASE WHEN f.is_current THEN f.installed_at ELSE now() END"""
_VERSION = """INSERT INTO ateneo.schema_version AS v (version, least_compatible) VALUES ($1, $2)
  ON CONFLICT (only_one) DO UPDATE SET version = excluded.version, least_compatible = excluded.least_compatible,
    upgraded_at = now() WHERE (v.version, v.least_compatible) <> (excluded.version, excluded.least_compatible)"""


@dataclass(frozen=True, slots=True)
class AppliedSchema:
    """What the database says was done to it. `installed`: function file -> the digests of its text and of what it left
    in the catalogs; `former`: (file, digest) of texts that were replaced."""

    version: int = 0
    least_compatible: int = 0
    applied: dict[str, str] = field(default_factory=dict)
    installed: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    former: frozenset[tuple[str, str]] = frozenset()

    @property
    def gone_past(self) -> list[str]:
        """Function files of this program whose text was here before, and was replaced."""
        return [item.name for item in function_files() if (item.name, item.digest) in self.former]

    def refuse(self, *, allow_downgrade: bool) -> None:
        """Raises SchemaNewer where an upgrade by this program would take the database back, MigrationChanged where a
        migration that ran had another text."""
        older = self.version == VERSION and self.gone_past and not allow_downgrade
        if self.version > VERSION or older:
            raise SchemaNewer(found=self.version, own=VERSION)
        for item in migrations():
            if self.applied.get(item.name, item.digest) != item.digest:
                raise MigrationChanged(name=item.name.removeprefix("migrations/"))


async def applied_schema(connection: Connection) -> AppliedSchema:
    """Reads what an upgrade wrote; nothing in a database that had none."""
    if not await connection.fetchval("SELECT to_regclass('ateneo.applied') IS NOT NULL"):
        return AppliedSchema()
    rows = await connection.fetch("SELECT name, sha256 FROM ateneo.applied WHERE name LIKE 'migrations/%'")
    applied = {row["name"]: row["sha256"] for row in rows}
    if not await connection.fetchval("SELECT to_regclass('ateneo.function_file') IS NOT NULL"):
        return AppliedSchema(applied=applied)
    version = await connection.fetchrow("SELECT version, least_compatible FROM ateneo.schema_version")
    files = await connection.fetch("SELECT name, sha256, is_current, made FROM ateneo.function_file")
    return AppliedSchema(
        version=version["version"] if version else 0,
        least_compatible=version["least_compatible"] if version else 0,
        applied=applied,
        installed={row["name"]: (row["sha256"], row["made"]) for row in files if row["is_current"]},
        former=frozenset((row["name"], row["sha256"]) for row in files if not row["is_current"]),
    )


async def outdated(connection: Connection, found: AppliedSchema) -> list[SchemaFile]:
    """The function files to run: another text is installed, or the catalogs no longer have what the file left there."""
    if not await connection.fetchval("SELECT to_regprocedure('ateneo.made(text[], text[])') IS NOT NULL"):
        return list(function_files())
    made = {item.name: await _made(connection, item) for item in function_files()}
    return [item for item in function_files() if found.installed.get(item.name) != (item.digest, made[item.name])]


async def _made(connection: Connection, item: SchemaFile) -> str | None:
    made: str | None = await connection.fetchval("SELECT ateneo.made($1, $2)", item.functions, item.triggers)
    return made


async def record(connection: Connection, files: Iterable[SchemaFile]) -> None:
    """Writes that the function files are installed, and this program's version."""
    for item in files:
        await connection.execute(
            "UPDATE ateneo.function_file SET is_current = false WHERE name = $1 AND sha256 <> $2 AND is_current",
            item.name,
            item.digest,
        )
        await connection.execute(_INSTALLED, item.name, item.digest, item.functions, item.triggers)
    await connection.execute(_VERSION, VERSION, LEAST_COMPATIBLE)


async def check(db: Database) -> None:
    """Whether this program can work with the database as it is; one statement.

    Raises NotUpgraded where the database lacks something of this program's, SchemaNewer where it went on without it.
    """
    async with db.acquire() as connection:
        row = await connection.fetchrow(_RECORDED)
    if row is None:
        raise NotUpgraded(where=db.where)
    if row["least_compatible"] > VERSION:
        raise SchemaNewer(found=row["version"], own=VERSION)
    known = {*row["migrations"], *row["function_files"]}
    needed = {item.name for item in migrations()} | {f"{item.name} {item.digest}" for item in function_files()}
    if not needed <= known:
        raise NotUpgraded(where=db.where)
