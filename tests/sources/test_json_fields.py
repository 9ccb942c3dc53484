"""Fields of a JSON column wherever a mapping names a column."""

from typing import Any

import asyncpg
import pytest
from tests.sources.conftest import Find

from ateneo.errors import BadArgument
from ateneo.sources.service import SourceService

TABLE = "CREATE TABLE note (id int PRIMARY KEY, body text, meta {})"
INSERT = "INSERT INTO note VALUES ($1, $2, $3)"
FACTS = """{"org": {"id": 7}, "title": "Viáticos", "doc": "manual", "part": 2, "tags": ["a", "b"], "_raw": "x",
 "it's \\"odd\\"": true}"""


@pytest.mark.parametrize("kind", ["json", "jsonb"])
async def test_fields_of_json(product: asyncpg.Connection, sources: SourceService, find: Find, kind: str) -> None:
    await product.execute(TABLE.format(kind))
    await product.execute(INSERT, 1, "Los viáticos se rinden.", FACTS)
    await product.execute(INSERT, 2, "Sin empresa ni nada.", "{}")
    await product.execute(INSERT, 3, "Nada de nada.", None)
    draft = await sources.draft(
        "note",
        tenant="meta->org->>id",
        title="meta->>title",
        document="meta->>doc",
        position="meta->>part",
        metadata=("meta->*", "meta->org->>id"),
        url="https://app.example/{meta->>doc}/{id}",
    )
    assert (await sources.preview(draft)).without_company == 2
    await sources.add(draft)
    await sources.sync("note")
    [hit] = await find(7, "viáticos", filter={"part": {"gt": 1}, "tags": "b", "id": 7})
    assert (hit.title, hit.chunk_index, hit.url) == ("Viáticos", 2, "https://app.example/manual/1")
    [facts] = await product.fetch(
        "SELECT metadata->>'_raw' AS raw, metadata->>'it''s \"odd\"' AS odd FROM ateneo.chunk_meta"
    )
    assert (facts["raw"], facts["odd"]) == (None, "true")
    await product.execute('UPDATE note SET meta = \'{"org": {"id": 8}}\' WHERE id = 1')
    assert await find(7, "viáticos") == []
    await sources.sync("note")
    assert len(await find(8, "viáticos")) == 1


@pytest.mark.parametrize(
    "field",
    [
        "meta->>x') FROM note; DROP TABLE note; --",
        "meta->>'; DROP TABLE note; --",
        "meta->>\"}'::text[]) || (SELECT 1",
        "meta->>{a,b}",
    ],
)
async def test_a_key_is_no_sql(product: asyncpg.Connection, sources: SourceService, field: str) -> None:
    await product.execute(TABLE.format("jsonb"))
    await product.execute(
        "INSERT INTO note VALUES (1, 'Un texto.', jsonb_build_object($1::text, '7'))", field.removeprefix("meta->>")
    )
    draft = await sources.draft("note", tenant=field, metadata=(field,), url=None)
    assert (await sources.preview(draft)).companies == 1
    assert await product.fetchval("SELECT count(*) FROM note") == 1


@pytest.mark.parametrize(
    "chosen",
    [
        {"key": ("meta->>id",)},
        {"cursor": "meta->>at"},
        {"title": "meta->*"},
        {"tenant": "other->>id"},
        {"title": "parent.name"},
        {"title": "body->>x"},
    ],
)
async def test_what_is_no_field_is_refused(
    product: asyncpg.Connection, sources: SourceService, chosen: dict[str, Any]
) -> None:
    await product.execute(TABLE.format("jsonb"))
    with pytest.raises(BadArgument):
        await sources.preview(await sources.draft("note", **{"empresa_id": "7", **chosen}))
