"""What products have in place of an address: SQLAlchemy's objects, psycopg's, Django's settings, in the services."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import psycopg
import psycopg2
import psycopg_pool
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session
from tests.providers.server import ProviderServer

from ateneo import Ateneo, AteneoSync
from ateneo.db import address
from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import ChunksTableRefused, SettingsError, UnsupportedDriver
from ateneo.ingestion.service import IngestionService
from ateneo.providers.openai import OpenAIEmbedder
from ateneo.search.service import VectorSearchService

TEXT = b"# Licencias\n\nPor mudanza se otorgan dos dias corridos de licencia, con aviso previo.\n"
INSERT = (
    "INSERT INTO knowledge_chunks (document_id, empresa_id, chunk_index, contenido)"
    " VALUES ('d', '{tenant}', 0, 'El depósito cierra a las seis de la tarde.')"
)
TENANTS = [UUID("6f1d2c3b-0000-4000-8000-00000000abcd"), 7]
LEFT_BEHIND = "SELECT current_user = session_user, coalesce(current_setting('ateneo.empresa_id', true), ''), count(*)"
LEFT_BEHIND += " FROM pg_locks WHERE locktype = 'advisory'"


@pytest.fixture
async def embedding() -> AsyncIterator[EmbeddingService]:
    with ProviderServer(dims=8) as server:
        service = EmbeddingService(OpenAIEmbedder(api_key="k", base_url=server.url, model="m"))
        yield service
        await service.close()


def _url(database_url: str, driver: str) -> sa.URL:
    return sa.make_url(database_url).set(drivername=f"postgresql+{driver}")


@asynccontextmanager
async def _async_engine(database_url: str, driver: str, **options: Any) -> AsyncIterator[Any]:
    engine = create_async_engine(_url(database_url, driver), **options)
    yield engine
    await engine.dispose()


@contextmanager
def _engine(database_url: str, driver: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(_url(database_url, driver))
    yield engine
    engine.dispose()


async def _works(db: Any, embedding: EmbeddingService, tenant: Any = "acme") -> None:
    ingestion, search = IngestionService(db, embedding), VectorSearchService(db, embedding)
    stored = await ingestion.process_document(TEXT, tenant, name="licencias.md", metadata={"area": "rrhh"})
    found = await search.search(tenant, "mudanza", filter={"area": "rrhh"})
    assert [hit.document_id for hit in found.hits] == [stored.document_id]
    assert [one.document_id for one in await ingestion.list_documents(tenant)] == [stored.document_id]


@pytest.mark.parametrize("tenant", TENANTS, ids=repr)
async def test_an_async_engine_on_asyncpg(database_url: str, embedding: EmbeddingService, tenant: Any) -> None:
    async with _async_engine(database_url, "asyncpg", pool_size=1, max_overflow=0) as engine:
        await _works(engine, embedding, tenant)
        async with engine.connect() as connection:  # the only one there is: it has been given back, and as it was
            assert tuple((await connection.execute(sa.text(LEFT_BEHIND))).one()) == (True, "", 0)


@pytest.mark.parametrize("tenant", TENANTS, ids=repr)
async def test_inside_an_async_sessions_transaction(
    database_url: str, embedding: EmbeddingService, tenant: Any
) -> None:
    async with _async_engine(database_url, "asyncpg", pool_size=2, max_overflow=0) as engine:
        search = VectorSearchService(engine, embedding)
        async with async_sessionmaker(engine)() as session:
            await _works(session, embedding, tenant)
            assert not (await search.search(tenant, "mudanza")).hits  # another connection sees nothing of it
            await session.execute(sa.text(INSERT.format(tenant=tenant)))
            own = VectorSearchService(session, embedding)
            assert [hit.document_id for hit in (await own.search(tenant, "depósito", mode="lexical")).hits] == ["d"]
            await session.rollback()
            assert not (await own.search(tenant, "mudanza")).hits
            await IngestionService(session, embedding).process_document(TEXT, tenant, name="licencias.md")
            await session.commit()
        assert len((await search.search(tenant, "mudanza")).hits) == 1
        async with engine.connect() as connection:
            assert tuple((await connection.execute(sa.text(LEFT_BEHIND))).one()) == (True, "", 0)


async def test_inside_an_async_connections_transaction(database_url: str, embedding: EmbeddingService) -> None:
    async with _async_engine(database_url, "asyncpg") as engine:
        async with engine.connect() as connection:
            await _works(connection, embedding)
            await connection.rollback()
        async with engine.begin() as connection:
            assert not (await VectorSearchService(connection, embedding).search("acme", "mudanza")).hits
            await _works(connection, embedding)
        assert (await VectorSearchService(engine, embedding).search("acme", "mudanza")).hits


async def test_a_refusal_leaves_the_callers_transaction_alive(database_url: str, embedding: EmbeddingService) -> None:
    async with _async_engine(database_url, "asyncpg") as engine, AsyncSession(engine) as session:
        await session.execute(sa.text("ALTER TABLE knowledge_chunks ADD CHECK (contenido !~ 'mudanza')"))
        with pytest.raises(ChunksTableRefused):
            await _works(session, embedding)
        assert (await session.execute(sa.text("SELECT 1"))).scalar() == 1


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("tenant", TENANTS, ids=repr)
async def test_an_engine(database_url: str, embedding: EmbeddingService, driver: str, tenant: Any) -> None:
    with _engine(database_url, driver) as engine:
        await _works(engine, embedding, tenant)


async def test_an_async_engine_on_psycopg(database_url: str, embedding: EmbeddingService) -> None:
    async with _async_engine(database_url, "psycopg") as engine:
        await _works(engine, embedding)
        async with AsyncSession(engine) as session:
            found = VectorSearchService(session, embedding)
            assert (await found.search("acme", "mudanza")).hits
            await session.execute(sa.text("SELECT 1"))
            with pytest.raises(UnsupportedDriver, match="AsyncSession"):
                await found.search("acme", "mudanza")


async def test_psycopgs_own(database_url: str, embedding: EmbeddingService) -> None:
    async with psycopg_pool.AsyncConnectionPool(database_url, min_size=1, open=False) as pool:
        await _works(pool, embedding, TENANTS[1])
    search: tuple[Any, str] = ("acme", "mudanza")
    with psycopg_pool.ConnectionPool(database_url, min_size=1, open=False) as own:
        await _works(own, embedding)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        assert (await VectorSearchService(connection, embedding).search(*search)).hits
        await connection.execute("SELECT 1")
        with pytest.raises(UnsupportedDriver, match=r"psycopg\.AsyncConnection con una"):
            await VectorSearchService(connection, embedding).search(*search)
    for module in (psycopg, psycopg2):
        plain: Any = module.connect(database_url)
        assert (await VectorSearchService(plain, embedding).search(*search)).hits
        plain.cursor().execute("SELECT 1")
        with pytest.raises(UnsupportedDriver, match="transacción abierta"):
            await VectorSearchService(plain, embedding).search(*search)
        plain.close()


async def test_a_sync_session_with_a_transaction_is_refused(database_url: str, embedding: EmbeddingService) -> None:
    with _engine(database_url, "psycopg") as engine:
        with Session(engine) as session:
            search = VectorSearchService(session, embedding)
            assert not (await search.search("acme", "mudanza")).hits
            session.execute(sa.text("SELECT 1"))
            with pytest.raises(UnsupportedDriver, match="transacción abierta"):
                await search.search("acme", "mudanza")
        with engine.begin() as connection, Session(connection) as session, pytest.raises(UnsupportedDriver):
            await VectorSearchService(session, embedding).search("acme", "mudanza")


async def test_an_address(database_url: str, embedding: EmbeddingService) -> None:
    await _works(database_url, embedding)


class _Wrapper:
    """Named as Django's."""


@pytest.mark.parametrize(
    "given", [None, 7, object(), _Wrapper(), sa.create_engine("sqlite://")], ids=lambda one: type(one).__name__
)
def test_anything_else_is_refused_at_once(given: Any) -> None:
    with pytest.raises(UnsupportedDriver, match=r"docs/how-to/drivers\.md"):
        Database.wrap(given)


@pytest.mark.parametrize(
    "given", ["acme", "sqlite:///db", {"ENGINE": "django.db.backends.mysql", "NAME": "secreta"}, {}], ids=repr
)
def test_no_address_of_postgresql(given: Any) -> None:
    with pytest.raises(SettingsError, match="PostgreSQL") as raised:
        Database.wrap(given)
    assert "secreta" not in str(raised.value)


def _django(database_url: str) -> dict[str, Any]:
    at = sa.make_url(database_url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": at.database,
        "USER": at.username,
        "PASSWORD": at.password or "",
        "HOST": at.query.get("host", at.host),
        "PORT": at.port or "",
        "OPTIONS": {"sslmode": "prefer", "pool": True, "isolation_level": 2},
        "CONN_MAX_AGE": 60,
    }


async def test_djangos_settings(database_url: str, embedding: EmbeddingService) -> None:
    await _works(_django(database_url), embedding)


def test_djangos_settings_become_an_address() -> None:
    given = {"ENGINE": "django.contrib.gis.db.backends.postgis", "NAME": "b", "USER": "u", "PASSWORD": r"a'\ b"}
    options = {"sslmode": "verify-full", "pool": True}
    found = address.parse(address.of_django(given | {"HOST": "h", "PORT": 1, "OPTIONS": options}))
    assert (found.hosts, found.ports, found.database) == (("h",), (1,), "b")
    assert (found.user, found.password, found.driver) == ("u", r"a'\ b", {"sslmode": "verify-full"})


async def test_ateneo_opens_what_it_is_given(database_url: str) -> None:
    async with _async_engine(database_url, "asyncpg") as engine:
        async with Ateneo.open(db=engine, threads=1) as ateneo:
            stored = await ateneo.ingest(7, TEXT, name="licencias.md")
        async with Ateneo.open(db=_django(database_url), threads=1) as ateneo:
            assert [hit.document_id for hit in (await ateneo.search(7, "mudanza")).hits] == [stored.document_id]
        with pytest.raises(UnsupportedDriver, match="AteneoSync"), AteneoSync.open(db=engine):
            pass


def test_ateneo_opens_it_without_await(server_url: str, database_url: str) -> None:
    with _engine(database_url, "psycopg2") as engine, AteneoSync.open(db=engine, threads=1) as ateneo:
        ateneo.ingest(7, TEXT, name="licencias.md")
        assert len(ateneo.search(7, "mudanza").hits) == 1
