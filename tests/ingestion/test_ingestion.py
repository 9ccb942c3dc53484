"""Files through the whole of IngestionService: a real database, and a server that speaks the provider's protocol."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import UploadFile
from tests.files.make import ENCRYPTED_DOCX, docx, pdf
from tests.providers.server import Fault, ProviderServer, vector_for

from ateneo.agents.citations import cite
from ateneo.db import dead_letters, generations, usage
from ateneo.db.pool import Database
from ateneo.db.search import Query, search
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import (
    AteneoError,
    BadArgument,
    ChunksTableRefused,
    DocumentEmpty,
    DocumentEncrypted,
    DocumentError,
    DocumentTooLarge,
    DocumentUnsupported,
    GenerationMismatch,
    ProviderUnavailable,
    UnknownDocument,
)
from ateneo.ingestion.service import IngestionService

RULES = "# Reglamento\n\n" + "\n\n".join(
    f"## Artículo {n}\n\nQuien trabaja en el sector {n} cobra un adicional de {n} pesos por cada hora. "
    f"El pago se hace el día {n} de cada mes, junto con el sueldo, en la cuenta de cada persona."
    for n in range(1, 9)
)
EMPTY = {"chunks": 0, "documents": 0, "meta": 0, "vectors": 0}


@pytest.fixture
async def ingestion(database: Database, embedding: EmbeddingService, provider: ProviderServer) -> IngestionService:
    await generations.create(database, embedding.provider, embedding.model, provider.dims)
    return IngestionService(database, embedding, chunk_tokens=64, chunk_overlap=16, max_bytes=100_000)


async def stored(db: Database, empresa_id: str) -> dict[str, int]:
    async with db.acquire() as connection:
        row = await connection.fetchrow(
            """SELECT (SELECT count(*) FROM knowledge_chunks WHERE empresa_id = $1) AS chunks,
                      (SELECT count(*) FROM ateneo.document WHERE empresa_id = $1) AS documents,
                      (SELECT count(*) FROM ateneo.chunk_meta WHERE empresa_id = $1) AS meta,
                      (SELECT count(*) FROM ateneo.vec_g1 WHERE empresa_id = $1) AS vectors""",
            empresa_id,
        )
    assert row is not None
    return dict(row)


async def chunk_rows(db: Database, empresa_id: str) -> list[Any]:
    async with db.acquire() as connection:
        rows: list[Any] = await connection.fetch(
            "SELECT k.*, k.embedding::real[] AS vector, m.page, m.headings FROM knowledge_chunks k"
            " JOIN ateneo.chunk_meta m ON m.empresa_id = k.empresa_id AND m.chunk_id = k.id"
            " WHERE k.empresa_id = $1 ORDER BY k.document_id, k.chunk_index",
            empresa_id,
        )
    return rows


async def test_a_file_becomes_a_document_with_embedded_chunks(
    database: Database, ingestion: IngestionService, embedding: EmbeddingService, tmp_path: Path
) -> None:
    path = tmp_path / "reglamento.md"
    path.write_text(RULES, encoding="utf-8")
    document = await ingestion.process_document(path, "acme", metadata={"sector": "RR. HH.\x00"})
    assert (document.title, document.source, document.mime) == ("Reglamento", "reglamento.md", "text/markdown")
    assert (document.status, document.bytes) == ("created", len(RULES.encode()))
    rows = await chunk_rows(database, "acme")
    assert len(rows) == document.chunks >= 8
    assert [row["chunk_index"] for row in rows] == list(range(len(rows)))
    assert {row["document_id"] for row in rows} == {document.document_id}
    assert rows[0]["headings"] == ["Reglamento", "Artículo 1"]
    for row in rows:
        assert row["tokens_count"] == embedding.count_tokens([row["contenido"]])[0] <= 64
        assert row["vector"] == pytest.approx(vector_for(row["contenido"], 8), abs=1e-5)
    assert await stored(database, "acme") == {"chunks": 8, "documents": 1, "meta": 8, "vectors": 8}
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT metadata->>'sector' FROM ateneo.document") == "RR. HH."
        words = await connection.fetchval("SELECT count(*) FROM ateneo.chunk_lex WHERE empresa_id = 'acme'")
    assert words == 8


async def test_pages_and_titles_of_other_formats(database: Database, ingestion: IngestionService) -> None:
    sentence = "Cada equipo revisa su stock los lunes a primera hora y avisa a depósito."
    two_pages = pdf([[sentence], ["Quien falta avisa antes de las ocho."]], title="Stock")
    document = await ingestion.process_document(two_pages, "acme", name="stock.pdf")
    assert (document.title, document.pages) == ("Stock", 2)
    await ingestion.process_document(docx([("Turnos", 1), sentence]), "acme", name="turnos.docx")
    rows = {row["contenido"]: row["page"] for row in await chunk_rows(database, "acme")}
    assert rows[f"Turnos\n{sentence}"] is None
    assert {page for text, page in rows.items() if text.startswith("Stock")} == {1}
    assert [one.source for one in await ingestion.list_documents("acme")] == ["stock.pdf", "turnos.docx"]


async def test_the_same_bytes_again_cost_nothing(ingestion: IngestionService, provider: ProviderServer) -> None:
    first = await ingestion.process_document(RULES.encode(), "acme", name="r.md", document_id="r")
    calls = provider.calls
    again = await ingestion.process_document(RULES.encode(), "acme", name="r.md", document_id="r")
    assert (again.status, again.document_id, again.chunks) == ("unchanged", first.document_id, first.chunks)
    forced = await ingestion.process_document(RULES.encode(), "acme", name="r.md", document_id="r", force=True)
    assert (forced.status, forced.document_id) == ("replaced", first.document_id)
    copy = await ingestion.process_document(RULES.encode(), "acme", name="copia.md")
    assert (copy.status, copy.same_bytes) == ("created", ("r",))
    assert provider.calls == calls > 0  # read anew, but its texts have their vectors
    other = await ingestion.process_document(RULES.encode(), "globex", name="r.md")
    assert (other.status, other.same_name, other.same_bytes) == ("created", (), ())


async def test_new_bytes_under_the_same_id_replace_the_document(
    database: Database, ingestion: IngestionService
) -> None:
    first = await ingestion.process_document(RULES.encode(), "acme", name="r.md", document_id="r")
    await ingestion.process_document(RULES.encode(), "globex", name="r.md", document_id="r")
    later = b"Ahora todo se paga doble, sin excepciones."
    second = await ingestion.process_document(later, "acme", name="r2.md", document_id="r")
    assert (second.status, second.document_id, second.chunks, second.source) == ("replaced", "r", 1, "r2.md")
    assert second.created_at == first.created_at
    assert await stored(database, "acme") == {"chunks": 1, "documents": 1, "meta": 1, "vectors": 1}
    assert (await stored(database, "globex"))["chunks"] == 8


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.RESET])
async def test_a_provider_that_fails_leaves_what_was_there(
    database: Database, ingestion: IngestionService, provider: ProviderServer, fault: Fault
) -> None:
    provider.otherwise = fault
    with pytest.raises(ProviderUnavailable):
        await ingestion.process_document(RULES.encode(), "acme", name="r.md")
    assert await stored(database, "acme") == EMPTY
    provider.otherwise = Fault.OK
    await ingestion.process_document(RULES.encode(), "acme", name="r.md")
    provider.otherwise = fault
    with pytest.raises(ProviderUnavailable):
        await ingestion.process_document(b"Otra cosa completamente distinta.", "acme", name="r.md", replace=True)
    assert (await stored(database, "acme"))["chunks"] == 8


async def test_no_transaction_is_open_while_the_provider_works(
    database: Database, ingestion: IngestionService, provider: ProviderServer
) -> None:
    provider.gate.clear()
    task = asyncio.create_task(ingestion.process_document(RULES.encode(), "acme", name="r.md"))
    while not provider.in_flight:
        await asyncio.sleep(0.01)
    async with database.acquire() as connection:
        busy = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND backend_type = 'client backend'"
        )
    provider.gate.set()
    await task
    assert busy == 0


async def test_uploads_of_one_id_at_once_leave_one_whole_document(
    database: Database, ingestion: IngestionService
) -> None:
    versions = [f"Versión {n}: la regla número {n} es la única que vale.".encode() for n in range(4)]
    documents = await asyncio.gather(
        *[ingestion.process_document(v, "acme", name="r.txt", external_id="r") for v in versions]
    )
    assert [one.status for one in documents].count("created") == 1
    assert {one.status for one in documents} <= {"created", "replaced", "superseded"}
    assert await stored(database, "acme") == {"chunks": 1, "documents": 1, "meta": 1, "vectors": 1}


@pytest.mark.parametrize(
    ("data", "name", "error"),
    [
        (b"", "vacio.pdf", DocumentEmpty),
        (b" \n\t ", "espacios.txt", DocumentEmpty),
        (b"x" * 100_001, "grande.txt", DocumentTooLarge),
        (pdf([["secreto"]], encrypted=True), "clave.pdf", DocumentEncrypted),
        (ENCRYPTED_DOCX.read_bytes(), "clave.docx", DocumentEncrypted),
        (bytes(range(256)) * 9, "x.bin", DocumentUnsupported),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_bad_file_stores_nothing_and_asks_no_provider(
    database: Database,
    ingestion: IngestionService,
    provider: ProviderServer,
    data: bytes,
    name: str,
    error: type[DocumentError],
) -> None:
    with pytest.raises(error) as caught:
        await ingestion.process_document(data, "acme", name=name)
    assert name in caught.value.message
    assert await stored(database, "acme") == EMPTY
    assert provider.calls == 0


async def test_open_files_of_every_kind(ingestion: IngestionService, tmp_path: Path) -> None:
    text = "Los {} se entregan en la recepción de la planta."
    path = tmp_path / "abierto.txt"
    path.write_text(text.format("paquetes"), encoding="utf-8")
    with path.open("rb") as opened:
        assert (await ingestion.process_document(opened, "acme")).source == "abierto.txt"
    upload = UploadFile(io.BytesIO(text.format("sobres").encode()), filename="carpeta/subido.txt")
    assert (await ingestion.process_document(upload, "acme")).source == "subido.txt"
    memory = io.BytesIO(text.format("bultos").encode())
    assert (await ingestion.process_document(memory, "acme", name="memoria.txt")).source == "memoria.txt"
    with pytest.raises(BadArgument, match="name"):
        await ingestion.process_document(io.BytesIO(b"hola"), "acme")
    with pytest.raises(BadArgument, match="file"):
        await ingestion.process_document(io.StringIO("hola"), "acme", name="texto.txt")
    with pytest.raises(BadArgument, match="file"):
        await ingestion.process_document(tmp_path / "no-existe.txt", "acme")


async def test_no_more_of_a_large_upload_is_read_than_shows_that_it_is_too_large(ingestion: IngestionService) -> None:
    class Endless:
        given = 0

        def read(self, size: int, /) -> bytes:
            part = b"x" * min(size, 4096)
            self.given += len(part)
            return part

    endless = Endless()
    with pytest.raises(DocumentTooLarge, match="ATENEO_MAX_UPLOAD_MB"):
        await ingestion.process_document(endless, "acme", name="sin-fin.txt")
    assert endless.given == 100_001


@pytest.mark.parametrize("empresa_id", ["", "  ", "a\x00b", "x" * 201, "\ud800"])
async def test_what_cannot_name_a_company_is_refused(ingestion: IngestionService, empresa_id: str) -> None:
    with pytest.raises(BadArgument, match="empresa_id"):
        await ingestion.process_document(b"hola", empresa_id, name="h.txt")
    with pytest.raises(BadArgument, match="empresa_id"):
        await ingestion.list_documents(empresa_id)
    with pytest.raises(BadArgument, match="empresa_id"):
        await ingestion.delete_document(empresa_id, "d")


async def test_hostile_text_is_stored(database: Database, ingestion: IngestionService) -> None:
    text = "Título\x00 con NUL, שלום y مرحبا, e\u0301 y 🏖️. ' ; DROP TABLE knowledge_chunks; --"
    await ingestion.process_document(text.encode(), "acme'; --", name="ra\x00ro 'x'.txt", title="T\x00\ud800")
    [document] = await ingestion.list_documents("acme'; --")
    assert (document.source, document.title) == ("raro 'x'.txt", "T\N{REPLACEMENT CHARACTER}")
    [row] = await chunk_rows(database, "acme'; --")
    assert row["contenido"] == text.replace("\x00", "")


async def test_deleting_touches_one_company(database: Database, ingestion: IngestionService) -> None:
    mine = await ingestion.process_document(RULES.encode(), "acme", name="r.md", document_id="r")
    await ingestion.process_document(RULES.encode(), "globex", name="r.md", document_id="r")
    with pytest.raises(UnknownDocument):
        await ingestion.delete_document("initech", mine.document_id)
    await ingestion.delete_document("acme", "r")
    assert await stored(database, "acme") == EMPTY
    assert (await stored(database, "globex"))["vectors"] == 8
    with pytest.raises(UnknownDocument):
        await ingestion.delete_document("acme", "r")


async def test_the_first_document_of_a_new_database_makes_its_generation(
    database: Database, embedding: EmbeddingService
) -> None:
    ingestion = IngestionService(database, embedding, chunk_tokens=64, chunk_overlap=16)
    await ingestion.process_document(b"El primer texto de todos los textos.", "acme", name="uno.txt")
    assert (await stored(database, "acme"))["vectors"] == 1


async def test_another_models_vectors_are_not_mixed_in(
    database: Database, embedding: EmbeddingService, provider: ProviderServer
) -> None:
    await generations.create(database, "openai", "otro-modelo", 8)
    async with database.acquire() as connection:  # with a vector: an empty one would give way
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido, embedding)"
            " VALUES ('de-otro', 'otra', 'Un texto de otro modelo', array_fill(1.0::real, ARRAY[8])::vector)"
        )
    ingestion = IngestionService(database, embedding)
    with pytest.raises(GenerationMismatch):
        await ingestion.process_document(b"Un texto cualquiera.", "acme", name="uno.txt")
    assert provider.calls == 0


async def test_a_foreign_key_of_the_users_is_explained_and_satisfied(
    database: Database, ingestion: IngestionService
) -> None:
    """An adopted table whose document_id references the user's own table of documents."""
    async with database.acquire() as connection:
        await connection.execute("CREATE TABLE documents (id text PRIMARY KEY)")
        await connection.execute("ALTER TABLE knowledge_chunks ADD FOREIGN KEY (document_id) REFERENCES documents (id)")
        await connection.execute("INSERT INTO documents VALUES ('mine')")
    with pytest.raises(ChunksTableRefused, match="document_id"):
        await ingestion.process_document(RULES.encode(), "acme", name="a.md")
    assert await stored(database, "acme") == EMPTY
    kept = await ingestion.process_document(RULES.encode(), "acme", name="a.md", document_id="mine")
    assert kept.document_id == "mine"


_COUNTING = """
CREATE TABLE changes (what text NOT NULL);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO changes VALUES (TG_OP); RETURN coalesce(NEW, OLD); END';
CREATE TRIGGER note BEFORE INSERT OR DELETE ON knowledge_chunks FOR EACH ROW EXECUTE FUNCTION note();
"""


async def test_the_users_row_triggers_find_the_users_tables(database: Database, ingestion: IngestionService) -> None:
    """By their bare names, as in the product's own sessions."""
    async with database.acquire() as connection:
        await connection.execute(_COUNTING)
    await ingestion.process_document(RULES.encode(), "acme", name="a.md", document_id="uno")
    await ingestion.process_document(RULES.upper().encode(), "acme", name="a.md", document_id="uno")
    await ingestion.delete_document("acme", "uno")
    async with database.acquire() as connection:
        noted = dict(await connection.fetch("SELECT what, count(*) FROM changes GROUP BY 1"))
    assert noted["INSERT"] == noted["DELETE"] > 8


async def test_whoever_may_create_in_public_lends_the_users_triggers_no_names(
    database: Database, ingestion: IngestionService
) -> None:
    async with database.acquire() as connection:
        await connection.execute(_COUNTING)
        await connection.execute("GRANT CREATE ON SCHEMA public TO ateneo_app")
    try:
        with pytest.raises(AteneoError):
            await ingestion.process_document(RULES.encode(), "acme", name="a.md")
        assert await stored(database, "acme") == EMPTY
    finally:
        async with database.acquire() as connection:
            await connection.execute("REVOKE CREATE ON SCHEMA public FROM ateneo_app")


async def test_its_words_correct_a_query_at_once(database: Database, ingestion: IngestionService) -> None:
    await ingestion.process_document(RULES.encode(), "acme", name="a.md")
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ateneo.vocabulary WHERE empresa_id = 'acme'") > 5
        assert await connection.fetchval("SELECT n FROM ateneo.tenant_stats WHERE empresa_id = 'acme'") > 0


async def test_a_text_that_the_company_has_is_not_sent_again(
    database: Database, provider: ProviderServer, embedding: EmbeddingService
) -> None:
    paragraphs = [f"# Tema {k}\n\nLo que dice la norma interna número {k} sobre este tema." for k in range(3)]
    ingestion = IngestionService(database, embedding, chunk_tokens=32, chunk_overlap=0)
    await ingestion.process_document("\n\n".join(paragraphs).encode(), "acme", name="norma.md")
    sent, asked_for_dims = (
        provider.inputs,
        provider.tokens - sum(one.tokens for one in await usage.month(database, "acme")),
    )
    assert asked_for_dims <= 2
    changed = "\n\n".join([*paragraphs[:2], "# Otro\n\nUn tema que antes no estaba en la norma."])
    again = await ingestion.process_document(changed.encode(), "acme", name="norma.md", replace=True)
    assert (again.status, again.chunks, provider.inputs) == ("replaced", 3, sent + 1)
    assert sum(one.tokens for one in await usage.month(database, "acme")) == provider.tokens - asked_for_dims
    await ingestion.process_document(changed.encode(), "otra", name="norma.md")
    assert provider.inputs == sent + 1 + 3  # another company's vectors are not its own
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM knowledge_chunks WHERE embedding IS NULL") == 0


async def test_without_budget_a_document_waits_in_the_queue(
    database: Database, ingestion: IngestionService, provider: ProviderServer
) -> None:
    await usage.set_budget(database, "acme", 0, None)
    calls = provider.calls
    stored = await ingestion.process_document(b"Las vacaciones se piden por escrito.", "acme", name="a.md")
    assert (stored.status, provider.calls) == ("created", calls)
    [depth] = await dead_letters.depths(database)
    assert (depth.pending, depth.over_budget) == (stored.chunks, True)


async def test_a_citation_names_the_page_of_its_quote(ingestion: IngestionService, database: Database) -> None:
    first = [
        "El personal del depósito entra a las ocho de la mañana y sale a las cinco de la tarde, con una hora de",
        "descanso.",
    ]
    second = [
        "La hora de descanso se toma a mediodía en el comedor de la planta alta, por turnos que arma la",
        "jefatura.",
    ]
    await ingestion.process_document(pdf([first, second]), "acme", name="horario.pdf")
    found = await search(database, Query("acme", "comedor"), schema="public")
    [hit] = found.hits
    cited = cite(1, hit, "El descanso se toma en el comedor")
    assert (hit.page, cited.page) == (1, 2)
    assert cited.label.endswith("p. 2")
    assert cite(1, hit, "Entra a las ocho de la mañana").page == 1
