"""Every SQL that is shown as a remedy runs here, on a table with rows, foreign keys, defaults and a program that goes
on writing: afterwards that program works as before, no row is gone, and what the remedy promised is true."""

import ast
import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from tests.cli.run import ateneo

from ateneo import errors
from ateneo.cli.logins import COMMAND, owner_warning, remedy_of
from ateneo.db import documents, migrate, scratch, search
from ateneo.db.documents import NewDocument
from ateneo.db.locks import Patience
from ateneo.db.pool import Database
from ateneo.error_texts import TEXTS
from ateneo.errors import AdoptionRefused, ChunksTableGenerated, NoLogin, NotTheOwner, RightsMissing, TableBusy
from ateneo.types import Chunk

SOURCE = Path(errors.__file__).parent


@dataclass(frozen=True)
class Product:
    """A table as a product has it, and the statements that the product goes on to send."""

    table: str
    write: str
    read: str

    async def use(self, connection: asyncpg.Connection, number: int) -> None:
        await connection.execute(self.write.format(n=number))
        assert await connection.fetchval(self.read.format(n=number)) == number


CONTENT = Product(
    """CREATE TABLE tenants (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text);
    INSERT INTO tenants VALUES ('00000000-0000-0000-0000-00000000000a', 'acme');
    CREATE TABLE knowledge_chunks (chunk_id bigserial PRIMARY KEY, content varchar(5000) NOT NULL,
      tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE, position int UNIQUE, lang text DEFAULT 'es');
    CREATE TABLE votes (chunk_id bigint REFERENCES knowledge_chunks, stars int);
    CREATE VIEW latest AS SELECT chunk_id, content FROM knowledge_chunks;
    INSERT INTO knowledge_chunks (content, tenant_id, position)
      SELECT 'texto ' || n, '00000000-0000-0000-0000-00000000000a', n FROM generate_series(1, 20) n;
    INSERT INTO votes SELECT chunk_id, 5 FROM knowledge_chunks""",
    "INSERT INTO knowledge_chunks (content, tenant_id, position)"
    " VALUES ('el carpincho {n}', '00000000-0000-0000-0000-00000000000a', {n})",
    "SELECT position FROM knowledge_chunks WHERE content = 'el carpincho {n}' AND lang = 'es'"
    " AND tenant_id = '00000000-0000-0000-0000-00000000000a'::uuid",
)
COMPLETE = Product(
    """CREATE TABLE documents (id uuid PRIMARY KEY DEFAULT gen_random_uuid());
    INSERT INTO documents DEFAULT VALUES;
    CREATE TABLE knowledge_chunks (id text DEFAULT gen_random_uuid()::text, document_id uuid REFERENCES documents,
      empresa_id varchar(64), chunk_index int, contenido text, tokens_count int DEFAULT 0);
    INSERT INTO knowledge_chunks (document_id, empresa_id, chunk_index, contenido)
      SELECT id, 'acme', n, 'texto ' || n FROM documents, generate_series(1, 20) n""",
    "INSERT INTO knowledge_chunks (empresa_id, chunk_index, contenido) VALUES ('acme', {n}, 'el carpincho {n}')",
    "SELECT chunk_index FROM knowledge_chunks WHERE contenido = 'el carpincho {n}'",
)


@pytest.fixture
async def product(bare_url: str, request: pytest.FixtureRequest) -> AsyncIterator[asyncpg.Connection]:
    """The product's own connection."""
    connection = await asyncpg.connect(bare_url)
    await connection.execute(request.param.table)
    yield connection
    await connection.close()


async def _refused(db: Database) -> AdoptionRefused:
    with pytest.raises(AdoptionRefused) as refusal:
        await migrate.upgrade(db)
    return refusal.value


@pytest.mark.parametrize("product", [CONTENT], indirect=True)
async def test_columns_that_a_table_lacks(product: asyncpg.Connection, bare_url: str) -> None:
    async with await Database.open(bare_url, size=2) as db:
        refusal = await _refused(db)
        sql = str(refusal.fields["sql"])
        assert sql in refusal.remedy and "reescribe la tabla" in refusal.remedy
        await CONTENT.use(product, 21)
        await product.execute(sql)
        await CONTENT.use(product, 22)
        assert await migrate.upgrade(db)
        await migrate.reconcile(db)
        await CONTENT.use(product, 23)
        assert await product.fetchval("SELECT count(*) FROM knowledge_chunks k JOIN votes v USING (chunk_id)") == 20
        found = await search.search(
            db, search.Query("00000000-0000-0000-0000-00000000000a", "carpincho"), schema="public"
        )
        assert len(found.hits) == 3
        # the text follows the product's own column, and so do the words and the vector
        await product.execute("UPDATE knowledge_chunks SET embedding = '[1,0]' WHERE position = 22")
        await product.execute("UPDATE knowledge_chunks SET content = 'el tapir 22' WHERE position = 22")
        query = search.Query("00000000-0000-0000-0000-00000000000a", "tapir")
        assert len((await search.search(db, query, schema="public")).hits) == 1
        assert await product.fetchval("SELECT embedding IS NULL FROM knowledge_chunks WHERE position = 22")
        await product.execute(
            "UPDATE knowledge_chunks SET content = 'el puma 22', embedding = '[0,1]' WHERE position = 22"
        )
        assert await product.fetchval("SELECT embedding::text FROM knowledge_chunks WHERE position = 22") == "[0,1]"
        new = NewDocument("t", "f.md", "text/markdown", b"x", 1)
        with pytest.raises(ChunksTableGenerated):
            await documents.save(db, "acme", new, [Chunk(0, "texto", 1)], None, None)
        await product.execute("DELETE FROM knowledge_chunks WHERE position = 23")


@pytest.mark.parametrize("product", [COMPLETE], indirect=True)
@pytest.mark.parametrize("column", ["id", "document_id", "empresa_id", "chunk_index", "contenido", "tokens_count"])
async def test_each_column_alone(product: asyncpg.Connection, bare_url: str, column: str) -> None:
    """A company cannot be guessed: nothing is offered for it."""
    if column != "contenido":
        await product.execute(f"ALTER TABLE knowledge_chunks DROP COLUMN {column}")
    else:
        await product.execute("ALTER TABLE knowledge_chunks RENAME contenido TO frases")
    async with await Database.open(bare_url, size=2) as db:
        refusal = await _refused(db)
        sql = str(refusal.fields["sql"])
        if column == "empresa_id":
            assert not sql and "no lo adivina nadie" in refusal.remedy
            return
        await product.execute(sql)
        assert await product.fetchval("SELECT count(*) FROM knowledge_chunks") == 20
        assert await migrate.upgrade(db)
        assert await migrate.plan(db) == []
        if column not in ("contenido", "chunk_index"):
            await COMPLETE.use(product, 21)


@pytest.mark.parametrize("product", [COMPLETE], indirect=True)
@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ("UPDATE knowledge_chunks SET empresa_id = NULL WHERE chunk_index > 15", [(None, 5)]),
        ("UPDATE knowledge_chunks SET id = 'x' WHERE chunk_index > 17", [("x", 3)]),
        ("UPDATE knowledge_chunks SET id = NULL WHERE chunk_index > 18", [(None, 2)]),
    ],
)
async def test_rows_in_the_way_are_shown_and_none_is_deleted(
    product: asyncpg.Connection,
    bare_url: str,
    change: str,
    shown: list[tuple[str | None, int]],
) -> None:
    await product.execute(change + "; UPDATE knowledge_chunks SET document_id = NULL")
    async with await Database.open(bare_url, size=2) as db:
        refusal = await _refused(db)
        assert [tuple(row) for row in await product.fetch(str(refusal.fields["sql"]))] == shown
        await COMPLETE.use(product, 21)
        assert await product.fetchval("SELECT count(*) FROM knowledge_chunks") == 21


@pytest.mark.parametrize("product", [COMPLETE], indirect=True)
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE knowledge_chunks DROP COLUMN id, ADD COLUMN id uuid PRIMARY KEY DEFAULT gen_random_uuid()",
        "ALTER TABLE knowledge_chunks ALTER empresa_id TYPE char(8)",
        "ALTER TABLE knowledge_chunks ALTER contenido TYPE json USING to_json(contenido)",
        "ALTER TABLE knowledge_chunks ADD COLUMN embedding float8[]",
        "ALTER TABLE knowledge_chunks RENAME TO k; CREATE VIEW knowledge_chunks AS SELECT * FROM k",
    ],
)
async def test_what_a_product_uses_otherwise_is_left_to_it(
    product: asyncpg.Connection,
    bare_url: str,
    change: str,
) -> None:
    await product.execute(change)
    async with await Database.open(bare_url, size=2) as db:
        refusal = await _refused(db)
    assert refusal.fields["sql"] == ""
    assert "DATABASE_URL" in refusal.remedy


@pytest.fixture
async def roles(bare_url: str) -> AsyncIterator[asyncpg.Connection]:
    """An administrator, the product's login `tienda`, which owns its table, and one for Ateneo that may nothing yet."""
    admin = await asyncpg.connect(bare_url)
    await admin.execute(
        "CREATE EXTENSION vector; CREATE ROLE tienda LOGIN; CREATE ROLE ateneo_owner LOGIN CREATEROLE;"
        "GRANT CREATE ON SCHEMA public TO tienda; SET ROLE tienda;" + COMPLETE.table + "; RESET ROLE"
    )
    yield admin
    await admin.execute(
        "DROP OWNED BY tienda, ateneo_owner CASCADE; DROP ROLE tienda, ateneo_owner; DROP ROLE IF EXISTS ateneo_api"
    )
    await admin.close()


async def test_rights_to_upgrade(roles: asyncpg.Connection, bare_url: str) -> None:
    product = await asyncpg.connect(bare_url.replace("postgres:@", "tienda:@"))
    async with await Database.open(bare_url.replace("postgres:@", "ateneo_owner:@"), size=2) as db:
        with pytest.raises(RightsMissing) as refusal:
            await migrate.upgrade(db)
        assert "?" not in refusal.value.message and "ateneo_owner" in refusal.value.message
        sql = str(refusal.value.fields["sql"])
        assert sql.startswith("BEGIN; GRANT tienda TO ateneo_owner") and sql.endswith("COMMIT;")
        await COMPLETE.use(product, 21)
        await roles.execute(sql)
        assert await migrate.upgrade(db)
        for statement in await migrate.rights_missing(db):
            await roles.execute(statement)
        await migrate.upgrade(db)
        assert await migrate.rights_missing(db) == []
        await migrate.reconcile(db)
    await COMPLETE.use(product, 22)
    # the table is still the product's, all of its rows are seen, and what it writes is found
    assert await product.fetchval("SELECT count(*) FROM knowledge_chunks") == 22
    await product.execute("ALTER TABLE knowledge_chunks ADD COLUMN propia int")
    assert await roles.fetchval("SELECT count(*) FROM ateneo.chunk_lex WHERE empresa_id = 'acme'") == 22
    await product.close()
    async with await Database.open(bare_url.replace("postgres:@", "ateneo_owner:@"), size=2) as db:
        found = await search.search(db, search.Query("acme", "carpincho"), schema="public")
        assert len(found.hits) == 2


async def test_a_login_for_ateneo(roles: asyncpg.Connection, bare_url: str) -> None:
    """What is said to a login of the product's: it is not made a member of ateneo_app, whose policies would bind it."""
    async with await Database.open(bare_url) as owner:
        await migrate.upgrade(owner)
    product = bare_url.replace("postgres:@", "tienda:@")
    async with await Database.open(product) as db:
        with pytest.raises(NoLogin) as refusal:
            await documents.list_documents(db, "acme")
        assert "tienda" in refusal.value.message
    wrapped = Database.wrap(await asyncpg.connect(product))
    with pytest.raises(NoLogin, match="El rol de esta conexión"):
        await documents.list_documents(wrapped, "acme")
    found = re.search(r"BEGIN;.*COMMIT;", refusal.value.remedy)
    assert found and "tienda" not in found[0]
    await roles.execute(found[0])
    async with await Database.open(bare_url.replace("postgres:@", "ateneo_api:@"), guarded=True) as db:
        assert db.guarded
        assert await documents.list_documents(db, "acme") == []
    connection = await asyncpg.connect(product)
    await COMPLETE.use(connection, 21)
    assert await connection.fetchval("SELECT count(*) FROM knowledge_chunks") == 21
    # and what used to be said harms: the reason for all this
    await roles.execute("GRANT ateneo_app TO tienda")
    await roles.execute("ALTER TABLE knowledge_chunks OWNER TO postgres; GRANT ALL ON knowledge_chunks TO tienda")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="no tenant set"):
        await connection.fetchval("SELECT count(*) FROM knowledge_chunks")
    await connection.close()


async def test_the_logins_of_the_api_and_of_the_worker(bare_url: str) -> None:
    """As `ateneo serve` and a worker's commands tell them to whoever has another one."""
    async with await Database.open(bare_url) as owner:
        await migrate.upgrade(owner)
    command = COMMAND.set("worker")
    told = remedy_of(NoLogin(role="tienda", detail=""))
    COMMAND.reset(command)
    admin = await asyncpg.connect(bare_url)
    statements = re.search(r"BEGIN;.*COMMIT;", told), re.search(r"CREATE ROLE .*ateneo_app TO mi_api;", owner_warning())
    try:
        for found in statements:
            assert found
            await admin.execute(found[0])
        async with await Database.open(bare_url.replace("postgres:@", "mi_worker:@")) as db, db.acquire() as worker:
            assert await worker.fetchval("SELECT count(*) FROM ateneo.embedding_queue") == 0
        async with await Database.open(bare_url.replace("postgres:@", "mi_api:@"), guarded=True) as db:
            assert db.guarded and await documents.list_documents(db, "acme") == []
    finally:
        await admin.execute("DROP ROLE IF EXISTS mi_worker; DROP ROLE IF EXISTS mi_api")
        await admin.close()


async def test_extension(bare_url: str) -> None:
    """`CREATE EXTENSION vector;`, as PgvectorMissing and RightsMissing say, and `ALTER EXTENSION vector UPDATE;`."""
    admin = await asyncpg.connect(bare_url)
    name = bare_url.split("/")[3].partition("?")[0]
    await admin.execute(f"CREATE ROLE sin_extension LOGIN; GRANT CREATE ON DATABASE {name} TO sin_extension;"
                        "GRANT CREATE ON SCHEMA public TO sin_extension")  # fmt: skip
    try:
        async with await Database.open(bare_url.replace("postgres:@", "sin_extension:@"), size=1) as db:
            with pytest.raises(RightsMissing) as refusal:
                await migrate.upgrade(db)
            await admin.execute(str(refusal.value.fields["sql"]))
            assert await migrate.upgrade(db)
        for statement in re.findall(r"(?:CREATE|ALTER) EXTENSION[^;]*;", errors.PgvectorMissing.texts.remedy_es):
            if statement.startswith("CREATE"):
                await admin.execute("DROP EXTENSION vector CASCADE")
            await admin.execute(statement)
    finally:
        await admin.execute("DROP OWNED BY sin_extension CASCADE; DROP ROLE sin_extension")
        await admin.close()


@pytest.fixture
async def reader(database: Database, database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Holds the table, where an upgrade has row-level security to switch on, until its transaction ends."""
    async with database.acquire() as connection:
        await connection.execute("ALTER TABLE knowledge_chunks DISABLE ROW LEVEL SECURITY")
    holder = await asyncpg.connect(database_url)
    await holder.execute("BEGIN; SELECT count(*) FROM knowledge_chunks")
    yield holder
    await holder.close()


async def test_who_holds_the_table(database: Database, database_url: str, reader: asyncpg.Connection) -> None:
    """A long reader: writers are held up for a moment at a time, and who waits is told whom for."""
    writer = await asyncpg.connect(database_url)
    upgrade = asyncio.create_task(migrate.upgrade(database, patience=Patience(wait_s=0.1, tries=10, pause_s=0.1)))
    for number in range(10):
        await writer.execute("INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ('acme', $1)", str(number))
    with pytest.raises(TableBusy) as refusal:
        await upgrade
    pid = reader.get_server_pid()
    assert f"pid {pid}" in refusal.value.message
    assert [row["pid"] for row in await writer.fetch(str(refusal.value.fields["sql"]))] == [pid]
    await reader.execute("ROLLBACK")
    assert [step.kind for step in await migrate.upgrade(database)] == ["row-level security"]
    await writer.close()


async def test_a_reader_that_ends_is_waited_for(database: Database, reader: asyncpg.Connection) -> None:
    upgrade = asyncio.create_task(migrate.upgrade(database, patience=Patience(wait_s=0.1, tries=100, pause_s=0.1)))
    await asyncio.sleep(0.3)
    await reader.execute("ROLLBACK")
    assert await upgrade


async def test_an_upgrade_has_no_limit_on_a_statement(database_url: str, reader: asyncpg.Connection) -> None:
    """Neither the client's nor the server's: a migration takes as long as it takes."""
    limits = {"statement_timeout": "2s"}
    async with asyncpg.create_pool(database_url, command_timeout=2, min_size=1, server_settings=limits) as pool:
        upgrade = asyncio.create_task(migrate.upgrade(Database.wrap(pool), patience=Patience(wait_s=60, tries=1)))
        await asyncio.sleep(2.5)
        await reader.execute("ROLLBACK")
        assert await upgrade


async def test_a_right_to_create_databases(bare_url: str) -> None:
    """What `ateneo eval` asks for."""
    admin = await asyncpg.connect(bare_url)
    await admin.execute('CREATE ROLE "mi ""evaluador" LOGIN')
    login = bare_url.replace("postgres:@", "mi%20%22evaluador:@")
    try:
        with pytest.raises(RightsMissing) as refusal:
            async with scratch.scratch_database(login):
                pass
        await admin.execute(str(refusal.value.fields["sql"]))
        with pytest.raises((RightsMissing, NotTheOwner), match="extension"):  # it has come further: to pgvector
            async with scratch.scratch_database(login) as db:
                await migrate.upgrade(db)
    finally:
        await admin.execute('DROP ROLE "mi ""evaluador"')
        await admin.close()


async def test_a_column_of_fixed_length_is_widened(bare_url: str) -> None:
    """`SELECT ateneo.widen_column();` under rows and a program that goes on writing."""
    admin = await asyncpg.connect(bare_url)
    await admin.execute("CREATE EXTENSION vector;" + COMPLETE.table)
    await admin.execute("ALTER TABLE knowledge_chunks ADD COLUMN embedding vector(1536)")
    assert ateneo("db", "upgrade", url=bare_url, ATENEO_EMBEDDING_PROVIDER="local").returncode == 0
    told = ateneo("doctor", url=bare_url, ATENEO_EMBEDDING_PROVIDER="local").stdout
    assert "SELECT ateneo.widen_column();" in told and "forget" not in told
    await admin.execute("CREATE INDEX suyo ON knowledge_chunks USING hnsw (embedding vector_cosine_ops)")
    with pytest.raises(asyncpg.PostgresError, match="indexes of its present length: suyo"):
        await admin.execute("SELECT ateneo.widen_column();")
    async with await Database.open(bare_url) as db:
        assert await migrate.plan(db) == []
    await admin.execute("DROP INDEX suyo")
    await admin.execute("SELECT ateneo.widen_column();")
    await COMPLETE.use(admin, 21)
    assert await admin.fetchval("SELECT count(*) FROM ateneo.chunk_lex") == 21
    await admin.close()
    async with await Database.open(bare_url) as db:
        assert await migrate.plan(db) == []


async def test_roles_as_the_security_page_makes_them(database: Database) -> None:
    page = (SOURCE.parents[1] / "docs" / "security" / "operator.md").read_text()
    statements = re.findall(r"^    ((?:CREATE ROLE|GRANT) .*;)", page, re.MULTILINE)
    assert len(statements) == 4
    async with database.acquire() as connection:
        await connection.execute("\n".join(statements))
        assert await connection.fetchval("SELECT pg_has_role('mi_api', 'ateneo_app', 'MEMBER')")
        await connection.execute("DROP ROLE mi_api, mi_worker")


OWNERS = """BEGIN;
ALTER TABLE ateneo.document OWNER TO postgres;
COMMIT;"""


async def test_owners(database: Database) -> None:
    """What `ateneo doctor` shows to an administrator where this login may not change owners."""
    from ateneo.cli import schema_screen

    async with database.acquire() as connection:
        await connection.execute("CREATE ROLE otro_dueno; ALTER TABLE ateneo.document OWNER TO otro_dueno")
        findings = await schema_screen.findings(database)
        assert findings[0].remedy.endswith(OWNERS)
        await connection.execute(OWNERS)
        await connection.execute("DROP ROLE otro_dueno")
    assert await migrate.plan(database) == []


RUN: dict[str, Callable[..., Awaitable[None]]] = {
    "remedies.add_columns": test_columns_that_a_table_lacks,
    "remedies.rows_without_company": test_rows_in_the_way_are_shown_and_none_is_deleted,
    "remedies.rows_without_id": test_rows_in_the_way_are_shown_and_none_is_deleted,
    "rights.refuse_missing": test_rights_to_upgrade,
    "migrate._run": test_extension,
    "errors.PgvectorMissing": test_extension,
    "doctor._database": test_extension,
    "errors.NoLogin": test_a_login_for_ateneo,
    "logins.remedy_of": test_the_logins_of_the_api_and_of_the_worker,
    "logins.owner_warning": test_the_logins_of_the_api_and_of_the_worker,
    "locks._busy": test_who_holds_the_table,
    "scratch._create": test_a_right_to_create_databases,
    "doctor._record": test_a_column_of_fixed_length_is_widened,
    "legacy_column._refuse_fixed": test_a_column_of_fixed_length_is_widened,
    "schema_screen._mending": test_owners,
    "schema_screen.administrators": test_rights_to_upgrade,
}
"""Where SQL is made for people, and the test that runs it."""
SHOWN = re.compile(
    r"\b(BEGIN;|COMMIT;|GRANT \S|REVOKE \S|(CREATE|ALTER|DROP) (ROLE|TABLE|EXTENSION|DATABASE|POLICY|SCHEMA|INDEX)\b"
    r"|DELETE FROM|TRUNCATE |UPDATE \w+ SET|SELECT ateneo\.\w+\(\);)"
)


def _makers() -> dict[str, list[str]]:
    """Functions and classes whose texts for people have SQL: remedies, advice, lines of a screen."""
    found: dict[str, list[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        if "db" in path.parts and path.stem not in ("remedies", "rights", "locks", "migrate", "scratch", "pool"):
            continue  # the store's own statements; those that are shown pass through `sql=`, below
        for node in ast.parse(path.read_text()).body:
            texts = [text for text in _texts(node) if SHOWN.search(text)]
            if texts and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found[f"{path.stem}.{node.name}"] = texts
    shown = {f"errors.{name}": [text for text in texts if SHOWN.search(text)] for name, texts in TEXTS.items()}
    return found | {name: texts for name, texts in shown.items() if texts}


def _texts(node: ast.AST) -> list[str]:
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def _errors_with_sql() -> set[str]:
    """Functions that give an error its `sql=`."""
    found = set()
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            for call in ast.walk(node):
                named = isinstance(call, ast.Call) and [word for word in call.keywords if word.arg == "sql"]
                if named and getattr(call.func, "id", "") in dir(errors):  # type: ignore[attr-defined]
                    found.add(f"{path.stem}.{getattr(node, 'name', '')}")
    return found


ONLY_PASSED_ON = {"adopt.refuse_unfit", "adopt.refuse_bad_rows"}
"""Their SQL is made in db/remedies.py."""
RUN_BY_THE_PROGRAM = {
    "migrate._changes",
    "migrate._missing_roles",
    "migrate._upgrade",
    "pool.Database",
    "scratch.scratch_database",
}
"""No remedies: statements that the program itself runs."""


def test_no_remedy_is_shown_that_no_test_runs() -> None:
    makers = set(_makers()) | _errors_with_sql()
    assert makers - set(RUN) - ONLY_PASSED_ON - RUN_BY_THE_PROGRAM == set(), "run it in a test, and put it into RUN"


def test_no_remedy_deletes() -> None:
    for where, texts in _makers().items():
        for text in texts if where not in RUN_BY_THE_PROGRAM else ():
            assert not re.search(r"\b(DELETE FROM|TRUNCATE|DROP (TABLE|COLUMN|DATABASE))\b", text), (where, text)
