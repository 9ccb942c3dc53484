"""Vectors that a table has already are taken over: nobody pays for them twice, and none of another model gets in."""

from collections.abc import Callable
from typing import Any

import asyncpg
import numpy as np
import pytest
from tests.providers.server import ProviderServer, vector_for
from tests.sources.conftest import Find, vector_text

from ateneo.db.pool import Database
from ateneo.embedding.worker import Worker
from ateneo.errors import BadArgument
from ateneo.factories.embedders import make_models
from ateneo.settings import load
from ateneo.sources.service import SourceService

MODEL = "openai/custom"
TEXTS = (
    "Los viáticos se rinden dentro de los treinta días.",
    "La caldera hace ruido cuando falta presión.",
    "El trabajo en día feriado se paga doble.",
)


async def _table(product: asyncpg.Connection, kind: str = "vector") -> None:
    await product.execute(f"CREATE TABLE kb (id int PRIMARY KEY, tenant_id int, content text, embedding {kind})")
    for at, text in enumerate(TEXTS):
        await _write(product, at, text, vector_text(text, array=kind.endswith("[]")))


async def _write(product: asyncpg.Connection, key: int, text: str, vector: str | None) -> None:
    kind = await product.fetchval(
        "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'kb'::regclass AND attname = 'embedding'"
    )
    await product.execute(
        "INSERT INTO kb VALUES ($1, 7, $2, CAST($3::text AS " + kind + "))"
        " ON CONFLICT (id) DO UPDATE SET content = excluded.content, embedding = excluded.embedding",
        key,
        text,
        vector,
    )


async def _added(sources: SourceService, **chosen: Any) -> None:
    await sources.add(await sources.draft("kb", **{"model": MODEL, **chosen}))
    await sources.sync("kb")


async def _stored(product: asyncpg.Connection) -> dict[str, np.ndarray[Any, Any]]:
    rows = await product.fetch(
        "SELECT r.key[1] AS key, v.embedding::text AS v FROM ateneo.vec_g1 v JOIN ateneo.source_row r"
        " ON v.empresa_id = r.empresa_id AND v.chunk_id = r.row_id || '-000'"
    )
    return {row["key"]: np.array(row["v"].strip("[]").split(","), dtype=np.float32) for row in rows}


def _is(vector: np.ndarray[Any, Any], text: str) -> bool:
    return float(vector @ vector_for(text, 8)) > 0.999


async def _embed(database: Database) -> None:
    async with make_models(load()) as models:
        await Worker(database, models).run(once=True)


@pytest.mark.parametrize("kind", ["vector", "vector(8)", "halfvec(8)", "real[]", "double precision[]"])
async def test_vectors_are_taken_over(
    product: asyncpg.Connection, paid: SourceService, provider_server: ProviderServer, kind: str
) -> None:
    await _table(product, kind)
    draft = await paid.draft("kb", model=MODEL)
    assert (draft.mapping.vector, draft.unused_vector) == ("embedding", None)
    found = await paid.preview(draft)
    estimate = await paid.estimate(found)
    assert (found.usable.rows, estimate.tokens, estimate.saved_tokens > 0) == (3, 0, True)
    await paid.add(draft)
    provider_server.requests.clear()
    done = await paid.sync("kb")
    assert (done.stored, done.vectors) == (3, 3)
    assert await product.fetchval("SELECT count(*) FROM ateneo.embedding_queue") == 0
    stored = await _stored(product)
    assert all(_is(stored[str(at)], text) for at, text in enumerate(TEXTS))
    assert await product.fetchval("SELECT count(embedding) FROM knowledge_chunks") == 3
    assert (await paid.check("kb")).differences == 0
    assert provider_server.requests == []


async def test_rows_without_a_vector_of_the_models_length_are_embedded(
    product: asyncpg.Connection, paid: SourceService, provider_server: ProviderServer, database: Database
) -> None:
    await _table(product)
    await _write(product, 10, "Un artículo que no tiene vector.", None)
    await _write(product, 11, "Un artículo con un vector ajeno.", "[1,2,3]")
    await _write(product, 12, "Un artículo con un vector nulo.", "[0,0,0,0,0,0,0,0]")
    found = await paid.preview(await paid.draft("kb", model=MODEL))
    assert (found.rows, found.usable.rows) == (6, 4)
    await _added(paid)
    provider_server.answered.clear()
    assert await product.fetchval("SELECT count(*) FROM ateneo.embedding_queue") == 3
    await _embed(database)
    assert len([one for one in provider_server.answered if one.startswith("Un artículo")]) == 3
    assert not set(provider_server.answered) & set(TEXTS)
    assert len(await _stored(product)) == 6


async def test_a_vector_that_changes_is_taken_over_again_and_a_stale_one_is_not(
    product: asyncpg.Connection, paid: SourceService, provider_server: ProviderServer, database: Database
) -> None:
    await _table(product)
    await _added(paid)
    other = "El aguinaldo se paga en junio y en diciembre."
    await _write(product, 0, other, vector_text(other))
    assert (await paid.sync("kb")).vectors == 1
    assert _is((await _stored(product))["0"], other)
    await product.execute("UPDATE kb SET content = 'La caldera se purga una vez por año.' WHERE id = 1")
    assert (await paid.sync("kb")).vectors == 0
    assert "1" not in await _stored(product)
    await product.execute("UPDATE kb SET content = content || ' Siempre en otoño.' WHERE id = 1")
    assert (await paid.sync("kb")).vectors == 0
    await _embed(database)
    last = "La caldera se purga una vez por año. Siempre en otoño."
    assert _is((await _stored(product))["1"], last)
    await _write(product, 1, last, vector_text("otro vector, del mismo modelo"))
    assert (await paid.sync("kb")).vectors == 1
    assert _is((await _stored(product))["1"], "otro vector, del mismo modelo")


async def test_nobody_pays_for_passages_when_a_question_is_asked(
    product: asyncpg.Connection, paid: SourceService, provider_server: ProviderServer, ask: Find
) -> None:
    await _table(product)
    await _added(paid, model=None, vector="embedding")
    provider_server.requests.clear()
    hits = await ask("7", TEXTS[1])
    assert hits[0].key == ("1",)
    assert (hits[0].dense_score or 0.0) > 0.99
    assert [one["input"] for one in provider_server.requests] == [[TEXTS[1]]]


async def test_another_model_is_refused_with_the_remedy(product: asyncpg.Connection, sources: SourceService) -> None:
    await _table(product)
    draft = await sources.draft("kb", model=MODEL)
    with pytest.raises(BadArgument, match="ATENEO_EMBEDDING_MODEL=custom"):
        await sources.preview(draft)
    with pytest.raises(BadArgument, match="embeddings switch --provider openai --model custom"):
        await sources.add(draft)
    with pytest.raises(BadArgument, match="PROVEEDOR/MODELO"):
        await sources.preview(await sources.draft("kb", model="custom"))


async def test_other_dimensions_are_refused(product: asyncpg.Connection, sources: SourceService) -> None:
    await _table(product)
    with pytest.raises(BadArgument, match="8"):
        await sources.preview(await sources.draft("kb", vector="embedding"))
    assert (await sources.draft("kb")).unused_vector == "embedding"
    assert (await sources.draft("kb", vector="", model="")).mapping.vector is None


async def test_vectors_of_another_model_are_found_out(
    product: asyncpg.Connection, paid: SourceService, provider_server: ProviderServer
) -> None:
    await _table(product)
    provider_server.vector_of = lambda text, dims: vector_for("otro modelo: " + text, dims)
    draft = await paid.draft("kb", model=MODEL)
    with pytest.raises(BadArgument, match="trust-vectors"):
        await paid.add(draft)
    assert await paid.listed() == []
    await paid.add(draft, trust_vectors=True)
    assert (await paid.sync("kb")).vectors == 3


@pytest.mark.parametrize("column", ["content", "id", "nothing", "embedding->>x"])
async def test_what_is_no_vector_is_refused(product: asyncpg.Connection, paid: SourceService, column: str) -> None:
    await _table(product)
    with pytest.raises(BadArgument):
        await paid.draft("kb", vector=column)


async def test_taking_over_can_be_ended(product: asyncpg.Connection, paid: SourceService, find: Find) -> None:
    await _table(product)
    await _added(paid)
    await product.execute("SET session_replication_role = replica")
    await product.execute("UPDATE kb SET content = 'Cambió sin que nadie lo viera.' WHERE id = 2")
    await product.execute("SET session_replication_role = origin")
    await paid.embed("kb")
    assert len(await _stored(product)) == 3
    assert (await paid.sync("kb")).stored == 1
    assert (await paid.check("kb")).differences == 0
    await _write(product, 0, TEXTS[0], vector_text("otro"))
    assert (await paid.sync("kb")).stored == 0
    assert len(await find(7, "cambió")) == 1


async def test_a_switch_to_another_model_embeds_what_was_taken_over(
    product: asyncpg.Connection, paid: SourceService, switched: Callable[..., Any]
) -> None:
    await _table(product)
    await _added(paid)
    await switched()
    assert await product.fetchval("SELECT count(*) FROM ateneo.vec_g2") == 3
    await _write(product, 0, "Lo nuevo ya no trae un vector que sirva.", vector_text("x"))
    assert (await paid.sync("kb")).vectors == 0
