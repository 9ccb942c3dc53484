import numpy as np
import pytest

from ateneo.db import documents, generations
from ateneo.db.documents import NewDocument
from ateneo.db.identity import NEW, Identity, arrive
from ateneo.db.pool import Database
from ateneo.errors import DatabaseError, UnknownDocument
from ateneo.types import Chunk, Matrix


def new(source: str, identity: Identity = NEW) -> NewDocument:
    return NewDocument(
        title=source.title(),
        source=source,
        mime="text/plain",
        content_hash=source.encode(),
        bytes=10,
        metadata={"años": [1, 2]},
        identity=identity,
    )


def chunks(count: int) -> list[Chunk]:
    return [Chunk(n, f"El texto número {n} del documento.", 9, n + 1, ("Título", f"Parte {n}")) for n in range(count)]


def vectors(count: int) -> Matrix:
    made: Matrix = np.eye(8, dtype=np.float32)[np.arange(count) % 8]
    return made


async def test_many_chunks_are_stored_in_order_with_page_and_headings(database: Database) -> None:
    generation = await generations.create(database, "p", "m", 8)
    stored = await documents.save(database, "acme", new("a"), chunks(1100), vectors(1100), generation.number)
    assert (stored.chunks, stored.status, stored.source) == (1100, "created", "a")
    async with database.acquire() as connection:
        wrong = await connection.fetchval(
            """SELECT count(*) FROM knowledge_chunks k
               LEFT JOIN ateneo.chunk_meta m ON m.empresa_id = k.empresa_id AND m.chunk_id = k.id
               LEFT JOIN ateneo.vec_g1 v ON v.empresa_id = k.empresa_id AND v.chunk_id = k.id
               WHERE k.contenido <> 'El texto número ' || k.chunk_index || ' del documento.' OR k.tokens_count <> 9
                  OR m.page IS DISTINCT FROM k.chunk_index + 1
                  OR m.headings IS DISTINCT FROM ARRAY['Título', 'Parte ' || k.chunk_index]
                  OR (k.embedding::real[])[k.chunk_index % 8 + 1] IS DISTINCT FROM 1
                  OR (v.embedding::real[])[k.chunk_index % 8 + 1] IS DISTINCT FROM 1"""
        )
        metadata = await connection.fetchval("SELECT metadata->'años'->>1 FROM ateneo.document")
    assert wrong == 0
    assert metadata == "2"


async def test_without_vectors_the_chunks_wait_for_the_backfill(database: Database) -> None:
    await documents.save(database, "acme", new("a"), chunks(3), None, None)
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM knowledge_chunks WHERE embedding IS NULL") == 3


async def test_a_save_that_fails_leaves_the_version_before(database: Database) -> None:
    generation = await generations.create(database, "p", "m", 8)
    mine = new("a", Identity("mine"))
    first = await documents.save(database, "acme", mine, chunks(2), vectors(2), generation.number)
    wrong: Matrix = np.ones((3, 5), dtype=np.float32)
    with pytest.raises(DatabaseError):
        await documents.save(database, "acme", mine, chunks(3), wrong, generation.number)
    kept = await documents.get(database, "acme", first.document_id)
    assert (kept.chunks, kept.created_at) == (2, first.created_at)


async def test_an_adopted_table_with_uuid_document_ids(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute("ALTER TABLE knowledge_chunks ALTER document_id TYPE uuid USING document_id::uuid")
    stored = await documents.save(database, "acme", new("a"), chunks(2), None, None)
    assert stored.chunks == 2
    await documents.delete(database, "acme", stored.document_id)
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM knowledge_chunks") == 0


async def test_pages_of_the_list_follow_each_other(database: Database) -> None:
    for source in ("c", "a", "b"):
        await documents.save(database, "acme", new(source), chunks(1), None, None)
    await documents.save(database, "globex", new("z"), chunks(1), None, None)
    page = await documents.list_documents(database, "acme", limit=2)
    assert [one.source for one in page] == ["a", "b"]
    rest = await documents.list_documents(database, "acme", limit=2, after=(page[-1].source, page[-1].document_id))
    assert [one.source for one in rest] == ["c"]


async def test_nothing_is_found_across_companies(database: Database) -> None:
    stored = await documents.save(database, "acme", new("a", Identity("doc")), chunks(1), None, None)
    for who in (Identity("doc"), Identity(name="a")):
        assert (await arrive(database, "globex", who)).known is None
        known = (await arrive(database, "acme", who)).known
        assert known is not None and known.document == await documents.get(database, "acme", "doc")
    with pytest.raises(UnknownDocument):
        await documents.get(database, "globex", stored.document_id)
    with pytest.raises(UnknownDocument):
        await documents.delete(database, "globex", stored.document_id)
