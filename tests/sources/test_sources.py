"""A product's table is searched as it is, and its rows leave with their COMMIT."""

import uuid
from typing import Any

import asyncpg
import pytest
from tests.sources.conftest import DJANGO, PRISMA, RAILS, Find

from ateneo.db import documents, migrate, passages, versions
from ateneo.db import sources as store
from ateneo.db.locks import Patience
from ateneo.db.pool import Database
from ateneo.errors import BadArgument, DatabaseError, Unknown, UnknownDocument
from ateneo.factories.embedders import make_models
from ateneo.settings import load
from ateneo.sources.html import looks_like_html
from ateneo.sources.rows import Chunker
from ateneo.sources.service import SourceService
from ateneo.sources.settling import settle_page

ARTICLES = [
    (1, 7, "Vacaciones", "Los viáticos se rinden dentro de los treinta días.", "rrhh", 1),
    (2, 7, "Feriados", "El trabajo en día feriado se paga doble.", "rrhh", 3),
    (3, 8, "Garantía", "La garantía de la caldera dura dos años.", "soporte", 2),
]
INSERT = (
    "INSERT INTO helpdesk_article (id, company_id, title, body, category, priority) VALUES ($1, $2, $3, $4, $5, $6)"
)


async def _django(product: asyncpg.Connection, sources: SourceService, **chosen: Any) -> None:
    await product.execute(DJANGO)
    await product.executemany(INSERT, ARTICLES)
    await sources.add(await sources.draft("helpdesk_article", name="kb", **chosen))
    await sources.sync("kb")


async def _prisma(product: asyncpg.Connection, sources: SourceService, tenant: uuid.UUID | None) -> None:
    await product.execute(PRISMA)
    await product.execute(
        'INSERT INTO "appData"."KbArticle" ("id", "tenantId", "title", "content") VALUES ($1, $2, $3, $4)',
        "ckv1",
        tenant,
        "Caldera",
        "La caldera hace ruido cuando falta presión.",
    )
    await sources.add(await sources.draft('"appData"."KbArticle"', name="kb"))
    await sources.sync("kb")


async def test_a_django_table(product: asyncpg.Connection, sources: SourceService, find: Find) -> None:
    await _django(product, sources, url="https://app.example/kb/{id}?c={category}")
    mapping = (await sources.show("kb")).mapping
    assert (mapping.tenant, mapping.text, mapping.title) == ("company_id", ("body",), "title")
    assert mapping.condition == '"is_published"'
    assert "author_email" not in mapping.metadata
    [hit] = await find(7, "viáticos")
    assert (hit.source, hit.key, hit.url) == ("kb", ("1",), "https://app.example/kb/1?c=rrhh")
    assert hit.title == "Vacaciones"
    assert await find(8, "viáticos") == []
    assert [one.key for one in await find(8, "caldera")] == [("3",)]


async def test_a_prisma_table(product: asyncpg.Connection, sources: SourceService, find: Find) -> None:
    tenant = uuid.uuid4()
    await _prisma(product, sources, tenant)
    mapping = (await sources.show("kb")).mapping
    assert (mapping.tenant, mapping.condition) == ("tenantId", '"deletedAt" IS NULL')
    assert [one.key for one in await find(tenant, "caldera")] == [("ckv1",)]
    assert await find(tenant, "caldera", filter={"status": "DRAFT"}) == []
    assert len(await find(tenant, "caldera", filter={"status": ["LIVE", "DRAFT"], "viewCount": {"lt": 3}})) == 1
    await product.execute('UPDATE "appData"."KbArticle" SET "deletedAt" = now()')
    assert await find(tenant, "caldera") == []


async def test_a_rails_table_of_chunks(product: asyncpg.Connection, sources: SourceService, find: Find) -> None:
    await product.execute(RAILS)
    article = uuid.uuid4()
    for position, text in enumerate(
        ["Primero se cierra la llave.", "Después se purga la caldera.", "Al final se prueba."]
    ):
        await product.execute(
            "INSERT INTO app.kb_chunks (account_id, article_id, position, content, tag) VALUES (5, $1, $2, $3, NULL)",
            article,
            position,
            text,
        )
    draft = await sources.draft("app.kb_chunks", document="article_id", position="position", metadata=("tag",))
    assert draft.mapping.condition == '"discarded_at" IS NULL'
    await sources.add(draft)
    await sources.sync("kb_chunks")
    [hit] = await find(5, "purga", filter={"tag": None})
    assert hit.chunk_index == 1
    around = await passages.around(sources.db, "5", [hit.chunk_id], neighbours=1, section=False)
    assert [one.contenido for one in around[hit.chunk_id].before] == ["Primero se cierra la llave."]
    await product.execute("UPDATE app.kb_chunks SET discarded_at = now() WHERE position = 0")
    around = await passages.around(sources.db, "5", [hit.chunk_id], neighbours=1, section=False)
    assert [len(around[hit.chunk_id].before), len(around[hit.chunk_id].after)] == [0, 1]
    await product.execute("DELETE FROM app.kb_chunks")
    await sources.sync("kb_chunks")
    assert await product.fetchval("SELECT count(*) FROM ateneo.document") == 0


async def test_a_document_goes_although_another_company_has_one_of_its_id(
    product: asyncpg.Connection, sources: SourceService, database: Database
) -> None:
    await product.execute(RAILS)
    insert = "INSERT INTO app.kb_chunks (account_id, article_id, position, content) VALUES ($1, $2, 0, 'Se purga.')"
    await product.executemany(insert, [(account, uuid.UUID(int=1)) for account in (5, 6)])
    await sources.add(await sources.draft("app.kb_chunks", document="article_id", position="position"))
    await sources.sync("kb_chunks")
    [one], [other] = [await documents.list_documents(database, company) for company in ("5", "6")]
    assert one.document_id == other.document_id
    await product.execute("UPDATE app.kb_chunks SET discarded_at = now() WHERE account_id = 5")
    assert await documents.list_documents(database, "5") == []
    assert len(await documents.list_documents(database, "6")) == 1


async def test_what_changes_is_found_once_the_worker_ran(
    product: asyncpg.Connection, sources: SourceService, find: Find
) -> None:
    await _django(product, sources)
    await product.execute(INSERT, 4, 7, "Licencias", "La licencia por mudanza es de un día.", "rrhh", 1)
    await product.execute("UPDATE helpdesk_article SET body = 'Los aguinaldos van en junio.' WHERE id = 1")
    await sources.sync("kb")
    assert [one.key for one in await find(7, "mudanza")] == [("4",)]
    assert [one.key for one in await find(7, "aguinaldos")] == [("1",)]
    assert await find(7, "viáticos") == []


@pytest.mark.parametrize(
    ("statement", "then"),
    [
        ("DELETE FROM helpdesk_article WHERE id = 1", []),
        ("UPDATE helpdesk_article SET is_published = false WHERE id = 1", []),
        ("UPDATE helpdesk_article SET is_published = NULL WHERE id = 1", []),
        ("UPDATE helpdesk_article SET company_id = 8 WHERE id = 1", [(8, "1")]),
        ("UPDATE helpdesk_article SET company_id = NULL WHERE id = 1", []),
        ("UPDATE helpdesk_article SET id = 99 WHERE id = 1", [(7, "99")]),
        ("TRUNCATE helpdesk_article", []),
        ("MERGE INTO helpdesk_article t USING (VALUES (1)) s(id) ON t.id = s.id WHEN MATCHED THEN DELETE", []),
    ],
)
async def test_what_is_withdrawn_is_gone_with_its_commit(
    product: asyncpg.Connection,
    sources: SourceService,
    find: Find,
    database: Database,
    statement: str,
    then: list[tuple[int, str]],
) -> None:
    await _django(product, sources)
    await product.execute("ALTER TABLE helpdesk_article ALTER is_published DROP NOT NULL")
    [hit] = await find(7, "viáticos")
    transaction = product.transaction()
    await transaction.start()
    await product.execute(statement)
    assert len(await find(7, "viáticos")) == 1
    await transaction.commit()
    assert await find(7, "viáticos") == []
    assert await find(7, '"viáticos se rinden"') == []
    assert await passages.by_ids(database, "7", [hit.chunk_id]) == []
    assert await passages.current(database, "7", [hit.chunk_id]) == {}
    listed = await documents.list_documents(database, "7")
    assert "Vacaciones" not in [one.title for one in listed]
    with pytest.raises(UnknownDocument):
        await documents.get(database, "7", str(hit.document_id))
    await sources.sync("kb")
    found = [(company, hit.key[0]) for company in (7, 8) for hit in await find(company, "viáticos")]
    assert found == then
    assert await product.fetchval("SELECT count(*) FROM ateneo.source_change") == 0


async def test_a_row_that_moves_is_its_new_companys(
    product: asyncpg.Connection, sources: SourceService, find: Find
) -> None:
    await _django(product, sources)
    await product.execute("UPDATE helpdesk_article SET company_id = 8 WHERE id = 1")
    await sources.sync("kb")
    assert await find(7, "viáticos") == []
    assert [one.key for one in await find(8, "viáticos")] == [("1",)]


async def test_a_row_of_nobody_is_listed(product: asyncpg.Connection, sources: SourceService, find: Find) -> None:
    await _django(product, sources)
    await product.execute(INSERT, 4, None, "De nadie", "Un artículo huérfano.", "x", 1)
    await sources.sync("kb")
    found = await sources.check("kb")
    assert (found.differences, found.without_company, found.keys) == (0, 1, (("4",),))


async def test_a_condition_that_fails_hides_and_never_fails_the_products_write(
    product: asyncpg.Connection, sources: SourceService, find: Find
) -> None:
    await _django(product, sources, condition="10 / priority > 0")
    await product.execute("UPDATE helpdesk_article SET priority = 0 WHERE id = 1")
    assert await find(7, "viáticos") == []
    assert [one.key for one in await find(7, "feriado")] == [("2",)]
    done = await sources.sync("kb")
    assert (done.failed, await find(7, "viáticos")) == (1, [])


async def test_a_renamed_column_hides_the_source_and_never_fails_the_products_write(
    product: asyncpg.Connection, sources: SourceService, find: Find
) -> None:
    await _django(product, sources)
    await product.execute("ALTER TABLE helpdesk_article RENAME id TO article_id")
    await product.execute("UPDATE helpdesk_article SET priority = 9 WHERE article_id = 1")
    assert await find(7, "viáticos") == []
    assert await find(7, "feriado") == []
    with pytest.raises(BadArgument):
        await sources.check("kb")


async def test_nothing_of_ateneo_fails_the_products_write(product: asyncpg.Connection, sources: SourceService) -> None:
    await _django(product, sources)
    await product.execute("ALTER TABLE ateneo.source_change RENAME TO gone")
    await product.execute("UPDATE helpdesk_article SET priority = 9")
    await product.execute(INSERT, 4, 7, "Licencias", "La licencia.", "rrhh", 1)
    assert await product.fetchval("SELECT count(*) FROM helpdesk_article WHERE priority = 9") == 3


async def test_a_role_without_rights_on_ateneo_writes(
    product: asyncpg.Connection, sources: SourceService, find: Find
) -> None:
    await _django(product, sources)
    role = f"app_{uuid.uuid4().hex[:8]}"
    await product.execute(f"CREATE ROLE {role}; GRANT ALL ON helpdesk_article TO {role}")
    try:
        await product.execute(f"SET ROLE {role}")
        await product.execute("DELETE FROM helpdesk_article WHERE id = 1")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await product.fetch("SELECT * FROM ateneo.source_change")
    finally:
        await product.execute("RESET ROLE")
        await product.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert await find(7, "viáticos") == []


async def test_what_no_trigger_saw_is_mended(product: asyncpg.Connection, sources: SourceService, find: Find) -> None:
    await _django(product, sources)
    await product.execute("SET session_replication_role = replica")
    await product.execute("DELETE FROM helpdesk_article WHERE id = 1")
    await product.execute("UPDATE helpdesk_article SET body = 'Los domingos también.' WHERE id = 2")
    await product.execute("SET session_replication_role = origin")
    await product.execute("DROP TRIGGER ateneo_source_1_delete ON helpdesk_article")
    await product.execute("ALTER TABLE helpdesk_article DISABLE TRIGGER ateneo_source_1_update")
    found = await sources.check("kb")
    assert (found.differences, found.triggers) == (2, 2)
    assert await find(7, "viáticos") == []
    await sources.sync("kb")
    assert [one.key for one in await find(7, "domingos")] == [("2",)]
    assert (await sources.check("kb")).differences == 0


async def test_chunks_that_went_are_made_again(product: asyncpg.Connection, sources: SourceService, find: Find) -> None:
    await _django(product, sources)
    await product.execute("TRUNCATE knowledge_chunks")
    assert (await sources.check("kb")).differences == 3
    await sources.sync("kb")
    assert len(await find(7, "viáticos")) == 1


async def test_a_partitioned_table_with_a_composite_key(
    product: asyncpg.Connection, sources: SourceService, find: Find
) -> None:
    await product.execute(
        "CREATE TABLE note (tenant_id int, n bigint, at timestamptz, body text, PRIMARY KEY (tenant_id, n, at))"
        " PARTITION BY LIST (tenant_id); CREATE TABLE note_1 PARTITION OF note FOR VALUES IN (1);"
        " CREATE TABLE note_2 PARTITION OF note FOR VALUES IN (2)"
    )
    await product.execute("INSERT INTO note VALUES (1, 10, '2026-01-02 03:04:05+02', 'La caldera hace ruido.')")
    await sources.add(await sources.draft("note"))
    await sources.sync("note")
    [hit] = await find(1, "caldera")
    assert hit.key == ("1", "10", "2026-01-02T01:04:05.000000Z")
    await product.execute("SET timezone = 'America/Lima'; UPDATE note SET tenant_id = 2")
    assert await find(1, "caldera") == []
    await sources.sync("note")
    assert len(await find(2, "caldera")) == 1
    await product.execute("DELETE FROM note_2")
    assert await find(2, "caldera") == []


async def test_a_view_is_polled(product: asyncpg.Connection, sources: SourceService, find: Find) -> None:
    await product.execute(DJANGO)
    await product.executemany(INSERT, ARTICLES)
    await product.execute("CREATE VIEW faq AS SELECT id, company_id, body, updated_at FROM helpdesk_article")
    with pytest.raises(BadArgument):
        await sources.draft("faq")
    draft = await sources.draft("faq", key=("id",))
    assert (draft.follow, draft.mapping.cursor) == ("poll", "updated_at")
    await sources.add(draft)
    await sources.sync("faq")
    assert len(await find(7, "viáticos")) == 1
    await product.execute(INSERT, 4, 7, "Licencias", "La licencia por mudanza es de un día.", "rrhh", 1)
    assert await sources.poll(await sources.show("faq")) == 1
    await product.execute("DELETE FROM helpdesk_article WHERE id = 1")
    assert (await sources.check("faq")).differences == 2
    await sources.sync("faq")
    assert (len(await find(7, "mudanza")), await find(7, "viáticos")) == (1, [])


async def test_a_source_leaves_the_table_as_it_was(product: asyncpg.Connection, sources: SourceService) -> None:
    await product.execute(DJANGO)
    look = (
        "SELECT (SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = 'helpdesk_article'::regclass),"
        " (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'helpdesk_article'::regclass),"
        " (SELECT count(*) FROM pg_constraint WHERE conrelid = 'helpdesk_article'::regclass),"
        " (SELECT relrowsecurity FROM pg_class WHERE oid = 'helpdesk_article'::regclass),"
        " (SELECT count(*) FROM pg_proc WHERE pronamespace = 'ateneo'::regnamespace),"
        " (SELECT count(*) FROM knowledge_chunks) + (SELECT count(*) FROM ateneo.document)"
    )
    before = await product.fetchrow(look)
    await product.executemany(INSERT, ARTICLES)
    await sources.add(await sources.draft("helpdesk_article", name="kb"))
    await sources.sync("kb")
    assert await product.fetchrow(look) != before
    assert await sources.remove("kb") == 3
    assert await product.fetchrow(look) == before
    with pytest.raises(Unknown):
        await sources.show("kb")


async def test_migrations_of_the_product_go_on(product: asyncpg.Connection, sources: SourceService) -> None:
    await _django(product, sources)
    await product.execute("ALTER TABLE helpdesk_article ALTER body TYPE varchar(5000), DROP COLUMN category")
    await product.execute("DROP TABLE helpdesk_article")


@pytest.mark.parametrize(
    "chosen",
    [
        {"condition": "true) FROM helpdesk_article; DROP TABLE helpdesk_article; SELECT (true"},
        {"condition": "nothing = 1"},
        {"condition": "is_published -- quiet"},
        {"metadata": ("nothing",)},
        {"key": ("is_published",)},
        {"key": ("category",)},
    ],
)
async def test_what_does_not_fit_is_refused(
    product: asyncpg.Connection, sources: SourceService, chosen: dict[str, Any]
) -> None:
    await product.execute(DJANGO)
    await product.executemany(INSERT, ARTICLES)
    if chosen.get("condition", "").endswith("quiet"):
        assert (await sources.preview(await sources.draft("helpdesk_article", **chosen))).rows == 3
        return
    with pytest.raises(BadArgument):
        await sources.preview(await sources.draft("helpdesk_article", **chosen))
    assert await sources.listed() == []
    assert await product.fetchval("SELECT count(*) FROM helpdesk_article") == 3


async def test_a_chunks_table_whose_documents_are_the_products(
    product: asyncpg.Connection, sources: SourceService
) -> None:
    await product.execute(DJANGO)
    await product.execute("CREATE TABLE doc (id text PRIMARY KEY)")
    await product.execute("ALTER TABLE knowledge_chunks ADD FOREIGN KEY (document_id) REFERENCES doc")
    with pytest.raises(BadArgument, match="document_id"):
        await sources.preview(await sources.draft("helpdesk_article"))


@pytest.mark.parametrize("table", ["knowledge_chunks", "ateneo.document"])
async def test_ateneos_own_tables_are_no_source(sources: SourceService, table: str) -> None:
    with pytest.raises(BadArgument):
        await sources.draft(table)


async def test_the_preview_counts(product: asyncpg.Connection, sources: SourceService) -> None:
    await product.execute(DJANGO)
    await product.executemany(INSERT, ARTICLES)
    await product.execute("UPDATE helpdesk_article SET is_published = false WHERE id = 1")
    await product.execute(INSERT, 4, None, "De nadie", "Un artículo huérfano.", "x", 1)
    found = await sources.preview(await sources.draft("helpdesk_article"))
    assert (found.rows, found.hidden, found.without_company, found.companies) == (2, 1, 1, 2)
    assert (await sources.estimate(found)).tokens > 0


async def test_a_table_that_is_held_is_waited_for_a_moment_at_a_time(
    product: asyncpg.Connection, sources: SourceService, database: Database
) -> None:
    await product.execute(DJANGO)
    draft = await sources.draft("helpdesk_article")
    async with product.transaction():
        await product.execute("LOCK TABLE helpdesk_article IN ROW EXCLUSIVE MODE")
        with pytest.raises(DatabaseError, match="helpdesk_article"):
            await store.add(database, draft, patience=Patience(wait_s=0.05, tries=2))
    assert await sources.listed() == []
    await sources.add(draft)


async def test_a_poll_sees_what_no_longer_meets_the_condition(
    product: asyncpg.Connection, sources: SourceService, find: Find
) -> None:
    await _django(product, sources, poll=True)
    await product.execute("UPDATE helpdesk_article SET is_published = false, updated_at = now() WHERE id = 1")
    assert await sources.poll(await sources.show("kb")) == 1
    assert await find(7, "viáticos") == []
    await sources.sync("kb")
    assert await sources.poll(await sources.show("kb")) == 0


async def test_a_whole_source_that_is_withdrawn_stays_so_while_its_condition_fails(
    product: asyncpg.Connection, sources: SourceService, find: Find
) -> None:
    await _django(product, sources, condition="10 / priority > 0")
    await product.execute("SET session_replication_role = replica")
    await product.execute("UPDATE helpdesk_article SET priority = 20 WHERE id = 1")
    await product.execute("UPDATE helpdesk_article SET priority = 0 WHERE id = 3")
    await product.execute("INSERT INTO ateneo.source_change (source_id, withdrawn) VALUES (1, true)")
    await settle_page(sources.db, await sources.show("kb"), Chunker(make_models(load()).main))
    assert await find(7, "viáticos") == []
    await sources.sync("kb")
    assert (await find(7, "viáticos"), len(await find(7, "feriado"))) == ([], 1)


async def test_an_upgrade_makes_the_functions_anew(
    product: asyncpg.Connection, sources: SourceService, find: Find, database: Database
) -> None:
    await _django(product, sources)
    await product.execute("SELECT set_config('ateneo.upgrading', $1, false)", str(versions.VERSION))
    await product.execute("UPDATE ateneo.function_file SET sha256 = 'older' WHERE name = 'functions/sources.sql'")
    await product.execute("DROP FUNCTION ateneo.source_1_keys()")
    await migrate.upgrade(database)
    assert await product.fetchval("SELECT count(*) FROM ateneo.source_1_keys()") == 3
    assert await migrate.plan(database) == []


async def test_keys_of_several_columns_are_told_apart(
    product: asyncpg.Connection, sources: SourceService, find: Find
) -> None:
    await product.execute("CREATE TABLE pair (a text, b text, body text, PRIMARY KEY (a, b))")
    await product.execute("INSERT INTO pair VALUES ('x, y', 'z', 'La caldera uno.'), ('x', 'y, z', 'La caldera dos.')")
    await sources.add(await sources.draft("pair", empresa_id="7"))
    await sources.sync("pair")
    assert {one.key for one in await find(7, "caldera")} == {("x, y", "z"), ("x", "y, z")}


async def test_texts_in_html_are_read_as_what_they_say(
    product: asyncpg.Connection, sources: SourceService, find: Find
) -> None:
    await product.execute("CREATE TABLE page (id int PRIMARY KEY, body text)")
    await product.execute(
        "INSERT INTO page VALUES (1, '<h2>Caldera</h2><p>La presi&oacute;n <b>baja</b> de noche.</p>"
        "<script>a()</script>"
        "<h2>Garant&iacute;a</h2><ul><li>Dos a&ntilde;os</li></ul>'), (2, 'Sin marcas: 3 < 4.'),"
        " (3, '<p><img src=foto></p>')"
    )
    draft = await sources.draft("page", empresa_id="7", html=True)
    assert looks_like_html((await sources.preview(draft)).sample)
    await sources.add(draft)
    await sources.sync("page")
    [hit] = await find(7, "presión baja")
    assert "La presión baja de noche." in hit.contenido
    assert "<" not in hit.contenido and "a()" not in hit.contenido
    assert [one.key for one in await find(7, "Garantía años")] == [("1",)]
    assert [one.contenido for one in await find(7, "marcas")] == ["Sin marcas: 3 < 4."]
    assert await find(7, "foto") == []
    assert (await sources.check("page")).differences == 0
