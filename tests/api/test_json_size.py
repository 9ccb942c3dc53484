"""JSON that is too deep or too large is refused, with what is allowed, by every way in; and no log grows by it."""

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.api.conftest import Api

from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument
from ateneo.ingestion.service import IngestionService
from ateneo.ingestion.texts import TextService
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.search.filters import checked_filter
from ateneo.text.json_size import DEEPEST, MOST_VALUES, check_size

LEVELS = [DEEPEST + 1, 300, 900, 2000, 100_000]


def nested(levels: int, *, lists: bool = False) -> str:
    opening, closing = ("[", "]") if lists else ('{"a":', "}")
    return f'{{"a":{opening * (levels - 1)}1{closing * (levels - 1)}}}'


def too_many() -> str:
    return json.dumps({f"k{n}": 1 for n in range(20_000)})


@pytest.fixture(scope="module")
def acme(api: Api) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, headers=api.acme, timeout=60) as client:
        yield client


def ways(client: httpx.Client, given: str) -> dict[str, httpx.Response]:
    """Every field that takes any JSON."""
    files = {"file": ("hondo.md", b"# Hondo\n\nUn texto con bastantes palabras.\n")}

    def body(text: str) -> dict[str, Any]:
        return {"content": text, "headers": {"Content-Type": "application/json"}}

    return {
        "upload": client.post("/documents", files=files, data={"metadata": given}),
        "replace": client.put("/documents/hondo", files=files, data={"metadata": given}),
        "search": client.post("/search/semantic", **body(f'{{"query": "x", "filter": {given}}}')),
        "agent": client.put("/agents/hondo", **body(f'{{"filter": {given}}}')),
    }


@pytest.mark.parametrize("lists", [False, True], ids=["objects", "lists"])
@pytest.mark.parametrize("levels", LEVELS)
def test_too_deep(acme: httpx.Client, log: io.StringIO, levels: int, lists: bool) -> None:
    for way, answer in ways(acme, nested(levels, lists=lists)).items():
        if way in ("upload", "replace") and levels == LEVELS[-1]:
            assert 400 <= answer.status_code < 500, way  # a field of a form over 64 KiB
        else:
            assert answer.status_code == 422 and answer.json()["code"] == "bad-argument", (way, answer.text)
    assert "Recursion" not in log.getvalue() and "unexpected" not in log.getvalue()


def test_as_deep_as_may_be(acme: httpx.Client) -> None:
    for lists in (False, True):
        found = ways(acme, nested(DEEPEST, lists=lists))
        assert found["upload"].status_code == 201, found["upload"].text
        assert json.dumps(found["upload"].json()["metadata"]).count("a") >= (1 if lists else DEEPEST)
        assert acme.get(f"/documents/{found['upload'].json()['document_id']}").status_code == 200


def test_too_many(acme: httpx.Client) -> None:
    for way, answer in ways(acme, too_many()).items():
        assert answer.status_code in ((422, 400) if way in ("upload", "replace") else (422,)), (way, answer.text)
    conditions = [{"name": [f"k{n}"], "comparison_operator": "is", "value": "x"} for n in range(20_000)]
    body = {"knowledge_id": "acme", "query": "x", "metadata_condition": {"conditions": conditions}}
    assert acme.post("/retrieval", json=body).status_code == 422


async def test_by_python(database: Database) -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    wide = [1]
    for _ in range(DEEPEST - 2):
        wide = [wide, wide]  # type: ignore[list-item]
    embedding = EmbeddingService(LocalEmbedder(bundled_model_dir()))
    documents, texts = IngestionService(database, embedding), TextService(database, embedding)
    wrong: list[Any] = [json.loads(nested(900)), endless, {"a": wide}, {"a": [0] * 20_000}, json.loads(too_many())]
    for metadata in wrong:
        with pytest.raises(BadArgument, match="metadata"):
            await documents.process_document(b"# A\n\nhola\n", "acme", name="a.md", metadata=metadata)
        with pytest.raises(BadArgument, match="metadata"):
            await texts.add("acme", ["hola"], metadatas=[metadata])
        with pytest.raises(BadArgument, match="filter"):
            checked_filter(metadata)
    await embedding.close()


SCALAR = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=4)
)


def depth(value: object) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(map(depth, inner), default=0) if isinstance(inner, list) else 0


def values(value: object) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value
    return sum(map(values, inner)) if isinstance(inner, list) and inner else 1


@given(JSON, st.integers(1, 12))
@example([[]], 1)
@example([1, 2], 2)
def test_exactly_what_is_too_much_is_refused(value: object, most: int) -> None:
    if values(value) > most:
        with pytest.raises(BadArgument):
            check_size("x", value, most)
    else:
        check_size("x", value, most)


@pytest.mark.parametrize("lists", [False, True])
def test_the_deepest_level_is_the_last(lists: bool) -> None:
    check_size("x", json.loads(nested(DEEPEST, lists=lists)))
    with pytest.raises(BadArgument):
        check_size("x", json.loads(nested(DEEPEST + 1, lists=lists)))
    check_size("x", [0] * MOST_VALUES)
