"""A database that is made for one measurement and dropped after it, and what a measurement writes and reads there."""

import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import asyncpg

from ateneo.db import embedded
from ateneo.db.pool import Database
from ateneo.errors import RightsMissing
from ateneo.i18n import tr

PREFIX = "ateneo_eval_"


@dataclass(frozen=True, slots=True)
class Passage:
    """A text to be searched, under an id of the measurement's."""

    passage_id: str
    contenido: str


@dataclass(frozen=True, slots=True)
class StoredText:
    """A chunk as it lies in the chunks table."""

    chunk_id: str
    document_id: str | None
    contenido: str


@asynccontextmanager
async def scratch_database(url: str | None, *, size: int = 4) -> AsyncIterator[Database]:
    """A new, empty database on the server of `url`; for none or an embedded one, on a temporary server of its own.

    It is dropped at the end, errors and Ctrl-C included; a process that is killed leaves it (`ateneo_eval_...`).
    Raises SettingsError, DatabaseUnavailable, RightsMissing.
    """
    if url is None or embedded.is_embedded(url):
        with _temporary_server() as address:
            async with await Database.open(address, size=size) as db:
                yield db
        return
    name = PREFIX + secrets.token_hex(6)
    async with await Database.open(url, size=1) as server:
        try:  # includes the creation: it may be complete when it is interrupted
            await _create(server, name)
            async with await Database.open(url, size=size, database=name) as db:
                yield db
        finally:
            async with server.session() as connection:
                await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def _temporary_server() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="ateneo-eval-", ignore_cleanup_errors=True) as folder:
        place = f"{embedded.SCHEME}:{folder}/postgres"
        address = embedded.start(place)
        try:
            yield address
        finally:
            embedded.stop(place)


async def _create(server: Database, name: str) -> None:
    async with server.session() as connection:
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        except asyncpg.InsufficientPrivilegeError as error:
            raise RightsMissing(
                role=server.role,
                detail=tr(
                    "evaluar crea una base de prueba y después la borra",
                    "evaluating creates a scratch database and drops it afterwards",
                ),
                sql="ALTER ROLE {} CREATEDB;".format('"' + server.role.replace('"', '""') + '"'),
            ) from error


async def insert_passages(db: Database, empresa_id: str, passages: Sequence[Passage]) -> None:
    """Writes passages into the chunks table as any program may: each is a document of one chunk, with its own id."""
    async with db.transaction() as connection:
        await connection.executemany(
            "INSERT INTO public.knowledge_chunks (id, document_id, empresa_id, chunk_index, contenido, tokens_count)"
            " VALUES ($1, $1, $2, 0, $3, 0)",
            [(one.passage_id, empresa_id, one.contenido) for one in passages],
        )


async def stored_texts(db: Database, empresa_id: str) -> list[StoredText]:
    """Every chunk of the company, in the order of documents and chunks."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT id, document_id, coalesce(contenido, '') AS contenido FROM public.knowledge_chunks"
            " WHERE empresa_id = $1 ORDER BY document_id, chunk_index, id",
            empresa_id,
        )
    return [StoredText(row["id"], row["document_id"], row["contenido"]) for row in rows]
