"""Stores of other libraries, with their vectors, as the libraries themselves wrote them (stores/make.py.txt)."""

import uuid
from typing import Any

import asyncpg
import pytest
from tests.providers.server import ProviderServer
from tests.sources.conftest import STORES, Find

from ateneo.errors import BadArgument, Unknown
from ateneo.sources.service import SourceService

TEXT = "Los viáticos se rinden dentro de los treinta días."
OTHER = "La caldera hace ruido cuando falta presión."
ACME, OWNER = uuid.UUID(int=7), uuid.UUID(int=8)


async def _store(product: asyncpg.Connection, name: str) -> None:
    await product.execute("SET search_path = public")
    await product.execute((STORES / f"{name}.sql").read_text(encoding="utf-8"))


async def _added(
    paid: SourceService, server: ProviderServer, kind: str, table: str | None = None, **chosen: Any
) -> int:
    """Adds it, with its vectors checked, and tells how many were taken over; nothing is embedded after that."""
    draft = await paid.draft_of(kind, table, name="kb", **chosen)
    assert (await paid.preview(draft)).usable.rows > 0
    await paid.add(draft)
    server.requests.clear()
    done = await paid.sync("kb")
    assert server.requests == []
    return done.vectors


@pytest.mark.parametrize("table", ["langchain_pg_embedding", "newer"])
async def test_langchain(
    product: asyncpg.Connection, paid: SourceService, provider_server: ProviderServer, find: Find, ask: Find, table: str
) -> None:
    await _store(product, "langchain")
    older = {"collection": "handbook", "tenant": "cmetadata->>tenant_id"}
    chosen = {} if table == "newer" else older
    assert await _added(paid, provider_server, "langchain", table, **chosen) == 2
    [hit] = await find(7, "viáticos", filter={"tag": "rrhh"})
    assert (hit.title, hit.contenido) == ("Viáticos", TEXT)
    assert await find(8, "viáticos") == []
    assert [one.title for one in await ask("8", OTHER)] == ["Caldera"]
    assert [one["input"] for one in provider_server.requests] == [[OTHER]]


async def test_collections_of_langchain_are_companies(
    product: asyncpg.Connection, paid: SourceService, provider_server: ProviderServer, find: Find
) -> None:
    await _store(product, "langchain")
    with pytest.raises(BadArgument, match="newer"):
        await paid.draft_of("langchain")
    assert await _added(paid, provider_server, "langchain", "langchain_pg_embedding") == 3
    assert (await paid.show("kb")).mapping.tenant == "parent.name"
    assert len(await find("handbook", "viáticos")) == 1
    await product.execute("DELETE FROM langchain_pg_collection WHERE name = 'handbook'")
    assert await find("handbook", "viáticos") == []
    with pytest.raises(Unknown):
        await paid.draft_of("langchain", "langchain_pg_embedding", collection="nada")


async def test_llamaindex(
    product: asyncpg.Connection, paid: SourceService, provider_server: ProviderServer, find: Find
) -> None:
    await _store(product, "llamaindex")
    assert await _added(paid, provider_server, "llamaindex") == 2
    mapping = (await paid.show("kb")).mapping
    assert (mapping.tenant, mapping.document) == ("metadata_->>tenant_id", "metadata_->>ref_doc_id")
    [hit] = await find(7, "viáticos", filter={"tag": "rrhh"})
    assert hit.title == "Viáticos"
    assert await product.fetchval("SELECT bool_or(metadata ? '_node_content') FROM ateneo.chunk_meta") is False


async def test_supabase(
    product: asyncpg.Connection, paid: SourceService, provider_server: ProviderServer, find: Find
) -> None:
    await _store(product, "supabase")
    with pytest.raises(BadArgument, match="tenant"):
        await paid.draft_of("supabase")
    assert await _added(paid, provider_server, "supabase", empresa_id="7") == 1
    assert len(await find(7, "viáticos", filter={"tag": "rrhh", "pages": {"gte": 3}})) == 1
    assert await find(7, "viáticos", filter={"pages": {"gt": 3}}) == []


async def test_pgai(
    product: asyncpg.Connection, paid: SourceService, provider_server: ProviderServer, find: Find
) -> None:
    await _store(product, "pgai")
    assert await _added(paid, provider_server, "pgai") == 2
    [hit] = await find(ACME, "caldera", filter={"category": "rrhh"})
    assert (hit.title, hit.chunk_index) == ("Viáticos", 1)
    await product.execute("UPDATE blog SET deleted_at = now()")
    assert (await paid.check("kb")).differences == 2
    await paid.sync("kb")
    assert await find(ACME, "caldera") == []


async def test_r2r(
    product: asyncpg.Connection, paid: SourceService, provider_server: ProviderServer, find: Find
) -> None:
    await _store(product, "r2r")
    assert await _added(paid, provider_server, "r2r") == 2
    [hit] = await find(OWNER, "caldera")
    assert (hit.title, hit.chunk_index, hit.source) == ("Manual", 1, "kb")


async def test_what_is_not_there_is_said(product: asyncpg.Connection, paid: SourceService) -> None:
    with pytest.raises(Unknown):
        await paid.draft_of("r2r")
    await product.execute("CREATE TABLE kb (id int PRIMARY KEY)")
    with pytest.raises(BadArgument, match="metadata_"):
        await paid.draft_of("llamaindex", "kb")
    await _store(product, "supabase")
    with pytest.raises(BadArgument, match="collection"):
        await paid.draft_of("supabase", collection="x", empresa_id="7")
