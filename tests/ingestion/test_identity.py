"""Who a document is: what is one document and what two, whose chunks are touched, and which upload wins."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from tests.db import program_0033
from tests.providers.server import ProviderServer

from ateneo.db import documents, generations, migrate, texts, usage
from ateneo.db import search as db_search
from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import AteneoError, BadArgument, ChunksTableRefused, SeveralDocuments, UnknownDocument
from ateneo.ingestion.service import IngestionService
from ateneo.ingestion.upload import place
from ateneo.types import Origin, StoredDocument

BATHS = "# Baños\n\nLos baños se limpian a las diez y a las quince.\n".encode()
CLOSED = "# Baños\n\nLos baños están cerrados por obra hasta el lunes de la semana que viene.\n".encode()


@pytest.fixture
async def ingestion(
    database_url: str, database: Database, embedding: EmbeddingService, provider: ProviderServer
) -> AsyncIterator[IngestionService]:
    """As the API has it: the application's role."""
    await generations.create(database, embedding.provider, embedding.model, provider.dims)
    async with await Database.open(database_url, size=4, guarded=True) as app:
        yield IngestionService(app, embedding, chunk_tokens=64, chunk_overlap=16)


async def held(ingestion: IngestionService, empresa_id: str = "acme") -> list[str]:
    return [one.document_id for one in await ingestion.list_documents(empresa_id)]


async def text_of(database: Database, document_id: str, empresa_id: str = "acme") -> str:
    return (await documents.texts(database, empresa_id)).get(document_id, "")


async def found(database: Database, filter: dict[str, object], query: str = "baños") -> list[str | None]:
    return [hit.title for hit in (await db_search.search(database, db_search.Query("acme", query, filter=filter),
                                                    schema="public")).hits]  # fmt: skip


# --- what is one document and what two ----------------------------------------------------------------------------


async def test_two_uploads_of_one_name_are_two_documents(database: Database, ingestion: IngestionService) -> None:
    first = await ingestion.process_document(BATHS, "acme", name="factura.pdf.md")
    second = await ingestion.process_document(CLOSED, "acme", name="factura.pdf.md")
    assert (second.status, second.same_name) == ("created", (first.document_id,))
    assert "quince" in await text_of(database, first.document_id)
    assert "obra" in await text_of(database, second.document_id)


async def test_equal_bytes_are_two_documents_and_sent_once(
    database: Database, ingestion: IngestionService, provider: ProviderServer
) -> None:
    first = await ingestion.process_document(BATHS, "acme", name="norte.md")
    sent = provider.inputs
    second = await ingestion.process_document(BATHS, "acme", name="sur.md")
    assert (second.status, second.same_bytes, provider.inputs) == ("created", (first.document_id,), sent)
    await ingestion.process_document(CLOSED, "acme", name="norte.md", replace=True)
    assert "quince" in await text_of(database, second.document_id)
    assert "obra" in await text_of(database, first.document_id)


async def test_an_id_of_the_callers_is_the_document_whatever_its_name(ingestion: IngestionService) -> None:
    number = uuid.uuid4()
    for given in ({"document_id": "d"}, {"external_id": "sharepoint:12"}, {"document_id": number}):
        first = await ingestion.process_document(BATHS, "acme", name="a.md", **given)
        again = await ingestion.process_document(BATHS, "acme", name="a.md", **given)
        other = await ingestion.process_document(CLOSED, "acme", name="b.md", **given)
        assert [one.status for one in (first, again, other)] == ["created", "unchanged", "replaced"]
        assert first.document_id == again.document_id == other.document_id
        assert other.created_at == first.created_at
    assert len(await held(ingestion)) == 3
    with pytest.raises(BadArgument, match="document_id, external_id"):
        await ingestion.process_document(BATHS, "acme", name="a.md", document_id="d", external_id="e")


async def test_files_of_folders_are_known_by_source_and_path(ingestion: IngestionService) -> None:
    for source, path in (("f1", "contrato.md"), ("f2", "contrato.md"), ("f1", "sub/contrato.md")):
        made = await ingestion.process_document(BATHS, "acme", name=path, origin=Origin(source, path))
        assert (made.status, made.source, made.origin, made.external_id) == ("created", path, source, path)
    again = await ingestion.process_document(CLOSED, "acme", origin=Origin("f1", "contrato.md"))
    assert (again.status, again.source) == ("replaced", "contrato.md")
    # neither an upload's name nor an id of the caller's is a path below a folder
    upload = await ingestion.process_document(BATHS, "acme", name="contrato.md")
    external = await ingestion.process_document(BATHS, "acme", name="contrato.md", external_id="contrato.md")
    assert (upload.status, external.status) == ("created", "created")
    assert len(await held(ingestion)) == 5


async def test_replacing_by_name_takes_the_only_one(database: Database, ingestion: IngestionService) -> None:
    first = await ingestion.process_document(BATHS, "acme", name="a.md", replace=True)
    await ingestion.process_document(BATHS, "globex", name="a.md")
    again = await ingestion.process_document(CLOSED, "acme", name="a.md", replace=True)
    assert (first.status, again.status, again.document_id) == ("created", "replaced", first.document_id)
    second = await ingestion.process_document(BATHS, "acme", name="a.md")
    with pytest.raises(SeveralDocuments) as caught:
        await ingestion.process_document(CLOSED, "acme", name="a.md", replace=True)
    assert all(one in str(caught.value) for one in (first.document_id, second.document_id))
    chosen = await ingestion.replace_document(CLOSED, "acme", second.document_id, name="nuevo.md")
    assert (chosen.status, chosen.source) == ("replaced", "nuevo.md")
    with pytest.raises(UnknownDocument):
        await ingestion.replace_document(CLOSED, "globex", second.document_id, name="nuevo.md")
    assert sorted(await held(ingestion)) == sorted([first.document_id, second.document_id])


async def test_the_list_has_every_document_of_one_name(ingestion: IngestionService) -> None:
    made = {(await ingestion.process_document(BATHS, "acme", name="a.md")).document_id for _ in range(5)}
    seen: list[StoredDocument] = []
    after = None
    while page := await ingestion.list_documents("acme", limit=2, after=after):
        seen += page
        after = place(page[-1])
    assert {one.document_id for one in seen} == made
    assert len(seen) == 5
    for bad in ("a.md", "%%%", "ñ", "W10", "W" * 4000):
        with pytest.raises(BadArgument, match="after"):
            await ingestion.list_documents("acme", after=bad)


# --- title and metadata -------------------------------------------------------------------------------------------


async def test_title_and_metadata_are_those_sent_last(
    database: Database, ingestion: IngestionService, provider: ProviderServer
) -> None:
    async def send(data: bytes = BATHS, **what: object) -> StoredDocument:
        return await ingestion.process_document(data, "acme", name="b.md", document_id="b", **what)  # type: ignore[arg-type]

    first = await send(metadata={"area": "rrhh", "sede": "norte"})
    calls = provider.calls
    changed = await send(metadata={"area": "legales", "vigente": True}, title="Baños 2025")
    assert (changed.status, changed.title) == ("updated", "Baños 2025")
    assert changed.metadata == {"area": "legales", "vigente": True, "language": "es"}
    assert await found(database, {"area": "legales"}) == ["Baños 2025"]
    assert await found(database, {"area": "rrhh"}) == []
    assert await found(database, {"sede": "norte"}) == []
    same = await send(metadata={"area": "legales", "vigente": True}, title="Baños 2025")
    silent = await send()
    assert (same.status, silent.status, silent.title) == ("unchanged", "unchanged", "Baños 2025")
    assert provider.calls == calls
    later = await send(CLOSED)
    assert (later.status, later.title, later.metadata) == ("replaced", "Baños 2025", changed.metadata)
    assert later.created_at == first.created_at
    assert (await send(CLOSED, metadata={})).metadata == {"language": "es"}
    assert (await send(CLOSED, metadata={"language": "fr"})).metadata == {"language": "fr"}


async def test_another_name_for_the_same_bytes_is_kept(ingestion: IngestionService) -> None:
    text = b"Un texto sin encabezado, que se llama como su archivo."
    first = await ingestion.process_document(text, "acme", name="viejo.txt", document_id="x")
    second = await ingestion.process_document(text, "acme", name="nuevo.txt", document_id="x")
    assert (first.title, second.title, second.source) == ("viejo.txt", "nuevo.txt", "nuevo.txt")


# --- chunks -------------------------------------------------------------------------------------------------------


async def test_chunks_of_other_programs_are_never_touched(database: Database, ingestion: IngestionService) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, document_id, empresa_id, contenido) VALUES"
            " ('suyo', 'd1', 'acme', 'texto que escribió otro programa'), ('ajeno', 'd1', 'globex', 'de otra empresa')"
        )
    with pytest.raises(UnknownDocument):
        await ingestion.delete_document("acme", "d1")
    for data in (BATHS, CLOSED):
        await ingestion.process_document(data, "acme", name="n.md", document_id="d1")
    await ingestion.process_document(CLOSED, "acme", name="n.md", document_id="d1", force=True)
    assert "otro programa" in await text_of(database, "d1")
    assert "obra" in await text_of(database, "d1")
    assert "quince" not in await text_of(database, "d1")
    await ingestion.delete_document("acme", "d1")
    assert await text_of(database, "d1") == "texto que escribió otro programa"
    assert await text_of(database, "d1", "globex") == "de otra empresa"


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM knowledge_chunks",
        "TRUNCATE knowledge_chunks",
        "DELETE FROM knowledge_chunks WHERE chunk_index = 0",
        "UPDATE knowledge_chunks SET document_id = 'otro' WHERE chunk_index = 0",
    ],
)
async def test_what_the_users_sql_took_away_is_ingested_again(
    database: Database, ingestion: IngestionService, sql: str
) -> None:
    data = b"\n\n".join(f"# Tema {n}\n\nLo que dice la norma sobre el tema {n}.".encode() for n in range(3))
    made = await ingestion.process_document(data, "acme", name="n.md", external_id="n")
    async with database.acquire() as connection:
        await connection.execute(sql)
    again = await ingestion.process_document(data, "acme", name="n.md", external_id="n")
    assert (again.status, again.document_id, again.chunks) == ("replaced", made.document_id, made.chunks)
    assert (await ingestion.process_document(data, "acme", name="n.md", external_id="n")).status == "unchanged"


async def test_chunks_deleted_one_by_one_are_missed(database: Database, ingestion: IngestionService) -> None:
    await ingestion.process_document(BATHS, "acme", name="n.md", document_id="n")
    async with database.acquire() as connection:
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM knowledge_chunks")]
    await texts.delete(database, "acme", ids)
    assert (await ingestion.process_document(BATHS, "acme", name="n.md", document_id="n")).chunks == len(ids)


# --- the last arrival ---------------------------------------------------------------------------------------------


async def test_an_older_slower_upload_does_not_overwrite_a_newer_one(
    database: Database, ingestion: IngestionService, provider: ProviderServer
) -> None:
    await ingestion.process_document(CLOSED, "acme", name="otro.md")  # so that the newer one need not wait for vectors
    before = sum(one.tokens for one in await usage.month(database, "acme"))
    provider.gate.clear()
    slow = asyncio.create_task(ingestion.process_document(BATHS, "acme", name="t.md", external_id="t"))
    while not provider.in_flight:
        await asyncio.sleep(0.01)
    newer = await ingestion.process_document(CLOSED, "acme", name="t.md", external_id="t")
    provider.gate.set()
    older = await slow
    assert (newer.status, older.status, older.document_id) == ("created", "superseded", newer.document_id)
    assert "obra" in await text_of(database, newer.document_id)
    assert len(await held(ingestion)) == 2
    # what the provider was paid for is billed all the same
    assert sum(one.tokens for one in await usage.month(database, "acme")) > before


async def test_what_arrived_first_is_superseded(database: Database, ingestion: IngestionService) -> None:
    first = await ingestion.arrive("acme")
    newer = await ingestion.process_document(CLOSED, "acme", name="t.md", document_id="t", title="Nuevo")
    for what in (BATHS, CLOSED):
        older = await ingestion.process_document(
            what, "acme", name="t.md", document_id="t", title="Viejo", arrival=first
        )
        assert (older.status, older.title, older.bytes) == ("superseded", "Nuevo", newer.bytes)
    assert "obra" in await text_of(database, "t")


async def test_a_document_deleted_while_its_new_version_was_read_stays_deleted(
    ingestion: IngestionService, provider: ProviderServer
) -> None:
    await ingestion.process_document(BATHS, "acme", name="t.md", document_id="t")
    provider.gate.clear()
    slow = asyncio.create_task(ingestion.process_document(CLOSED, "acme", name="t.md", document_id="t"))
    strict = asyncio.create_task(ingestion.replace_document(CLOSED + b"Y mas.", "acme", "t", name="t.md"))
    while provider.in_flight < 2:
        await asyncio.sleep(0.01)
    await ingestion.delete_document("acme", "t")
    provider.gate.set()
    assert (await slow).status == "superseded"
    with pytest.raises(UnknownDocument):
        await strict
    assert await held(ingestion) == []


# --- the user's own table of documents ----------------------------------------------------------------------------


async def refused(ingestion: IngestionService, document_id: object) -> tuple[str, str]:
    with pytest.raises(AteneoError) as caught:
        await ingestion.process_document(BATHS, "acme", name="a.md", document_id=document_id)
    return caught.value.code, str(caught.value)


@pytest.mark.parametrize("kind", ["text", "uuid", "bigint"])
async def test_anothers_row_is_as_one_that_does_not_exist(
    database: Database, ingestion: IngestionService, provider: ProviderServer, kind: str
) -> None:
    mine, theirs, nobodys = ("1", "2", "3") if kind == "bigint" else [str(uuid.UUID(int=n)) for n in range(3)]
    async with database.acquire() as connection:
        await connection.execute(
            f"CREATE TABLE documents (id {kind} PRIMARY KEY, empresa_id text NOT NULL);"
            f"ALTER TABLE knowledge_chunks ALTER document_id TYPE {kind} USING document_id::{kind};"
            "ALTER TABLE knowledge_chunks ADD FOREIGN KEY (document_id) REFERENCES documents (id);"
            f"INSERT INTO documents VALUES ('{mine}', 'acme'), ('{theirs}', 'globex')"
        )
    calls = provider.calls
    assert await refused(ingestion, theirs) == await refused(ingestion, nobodys)
    assert (await refused(ingestion, theirs))[0] == ChunksTableRefused.code
    assert provider.calls == calls
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM knowledge_chunks") == 0
        assert await connection.fetchval("SELECT count(*) FROM ateneo.document") == 0
    kept = await ingestion.process_document(BATHS, "acme", name="a.md", document_id=mine)
    assert (kept.status, kept.document_id) == ("created", mine)
    await ingestion.process_document(BATHS, "globex", name="a.md", document_id=theirs)
    row = {"document_id": theirs, "title": "t", "source": "s", "mime": "m", "content_hash": "\\x01", "bytes": 1,
           "file_metadata": {}, "arrival": 9, "own_chunks": 0}  # fmt: skip
    with pytest.raises(AteneoError):
        async with database.tenant("acme") as connection:
            await connection.execute("SELECT ateneo.own_document_write('acme', $1::text::jsonb)", json.dumps(row))


async def test_a_table_that_does_not_tell_whose_a_row_is_tells_it_by_its_chunks(
    database: Database, ingestion: IngestionService
) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            "CREATE TABLE documents (id text PRIMARY KEY);"
            "ALTER TABLE knowledge_chunks ADD FOREIGN KEY (document_id) REFERENCES documents (id);"
            "INSERT INTO documents VALUES ('mine'), ('theirs');"
            "INSERT INTO knowledge_chunks (document_id, empresa_id, contenido) VALUES ('theirs', 'globex', 'un texto')"
        )
    assert await refused(ingestion, "theirs") == await refused(ingestion, "nobodys")
    assert (await ingestion.process_document(BATHS, "acme", name="a.md", document_id="mine")).status == "created"


async def test_ids_that_the_record_cannot_keep_are_the_callers_mistake(
    database: Database, ingestion: IngestionService
) -> None:
    for kind, bad in (("uuid", "d1"), ("bigint", "d1"), ("int", str(2**40)), ("varchar(8)", "demasiado largo")):
        async with database.acquire() as connection:
            await connection.execute(f"ALTER TABLE knowledge_chunks ALTER document_id TYPE {kind} USING NULL")
        with pytest.raises(BadArgument, match="document_id"):
            await ingestion.process_document(BATHS, "acme", name="a.md", document_id=bad)
    with pytest.raises(BadArgument, match="document_id"):  # nor one that Ateneo would make
        await ingestion.process_document(BATHS, "acme", name="a.md")


async def test_an_id_is_the_one_that_the_record_writes(database: Database, ingestion: IngestionService) -> None:
    async with database.acquire() as connection:
        await connection.execute("ALTER TABLE knowledge_chunks ALTER document_id TYPE uuid USING document_id::uuid")
    one = uuid.uuid4()
    first = await ingestion.process_document(BATHS, "acme", name="a.md", document_id=str(one).upper())
    assert (first.document_id, first.chunks) == (str(one), 1)
    assert (await ingestion.process_document(BATHS, "acme", name="a.md", document_id=one)).status == "unchanged"


# --- upgrades, and connections of the caller's --------------------------------------------------------------------


async def test_documents_of_the_earlier_version_are_known_by_their_names(
    bare_url: str, tmp_path: Path, embedding: EmbeddingService, provider: ProviderServer
) -> None:
    """The earlier version kept one document a name; a folder that has such a file goes on with it."""
    done = program_0033.run(program_0033.unpack(tmp_path), "upgrade", bare_url)
    assert done.returncode == 0, done.stderr
    old_id = str(uuid.uuid4())
    connection = await asyncpg.connect(bare_url)
    for document_id, source in ((old_id, "sub/a.md"), (str(uuid.uuid4()), "subido.md"), ("mio", "c.md")):
        await connection.execute(
            "INSERT INTO ateneo.document (empresa_id, document_id, title, source, mime, content_hash, bytes, metadata)"
            " VALUES ('acme', $1, 'T', $2, 'text/markdown', sha256($3), 1, '{\"area\": \"x\"}')",
            document_id,
            source,
            BATHS,
        )
        await connection.execute(
            "WITH k AS (INSERT INTO knowledge_chunks (document_id, empresa_id, contenido)"
            " VALUES ($1, 'acme', 'texto viejo') RETURNING id) INSERT INTO ateneo.chunk_meta"
            " (empresa_id, chunk_id) SELECT 'acme', id FROM k",
            document_id,
        )
    await connection.close()
    async with await Database.open(bare_url, size=2) as db:
        await migrate.upgrade(db)
        await generations.create(db, embedding.provider, embedding.model, provider.dims)
        ingestion = IngestionService(db, embedding)
        taken = await ingestion.process_document(BATHS, "acme", origin=Origin("docs", "sub/a.md", "/x/docs"))
        assert (taken.status, taken.document_id, taken.origin) == ("unchanged", old_id, "docs")
        other = await ingestion.process_document(BATHS, "acme", origin=Origin("otra", "sub/a.md", "/x/otra"))
        assert other.status == "created"
        upload = await ingestion.process_document(BATHS, "acme", name="subido.md")
        assert (upload.status, len(upload.same_name)) == ("created", 1)
        chosen = await ingestion.process_document(BATHS, "acme", origin=Origin("docs", "c.md", "/x/docs"))
        assert chosen.status == "created"
        # what was sent cannot be told from what the file says: it is read again, and the sent metadata replaces all
        renamed = await ingestion.process_document(BATHS, "acme", origin=Origin("docs", "sub/a.md"), metadata={"b": 1})
        assert (renamed.status, renamed.metadata) == ("replaced", {"b": 1, "language": "es"})


@pytest.mark.parametrize("codec", [False, True])
async def test_a_connection_of_the_callers(
    database_url: str, database: Database, embedding: EmbeddingService, provider: ProviderServer, codec: bool
) -> None:
    await generations.create(database, embedding.provider, embedding.model, provider.dims)
    connection = await asyncpg.connect(database_url)
    if codec:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    ingestion = IngestionService(connection, embedding)
    made = await ingestion.process_document(BATHS, "acme", name="a.md", external_id="a", metadata={"area": "x"})
    assert made.metadata == {"area": "x", "language": "es"}
    assert await found(database, {"area": "x"}) == ["Baños"]
    again = await ingestion.process_document(BATHS, "acme", name="a.md", external_id="a", metadata={"area": "y"})
    assert (again.status, again.metadata["area"]) == ("updated", "y")
    await connection.close()


async def test_a_path_with_nul_or_too_long_is_an_argument_that_is_wrong(
    ingestion: IngestionService, tmp_path: Path
) -> None:
    for path in (f"{tmp_path}/a\x00b.md", str(tmp_path / ("x" * 300))):
        with pytest.raises(BadArgument):
            await ingestion.process_document(path, "acme", name="a.md")
