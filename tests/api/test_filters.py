"""Filters of any JSON, by every way in: understood or refused with what is allowed, and never left out."""

import json
from typing import Any

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.api.conftest import Api
from tests.api.server import settings
from tests.examples import examples

from ateneo.container import Container
from ateneo.errors import AgentUnusable, BadArgument
from ateneo.search.filters import MOST_VALUES

NOBODY = "a field that no document has"
TEXT = st.text(alphabet=st.characters(codec="utf-16", exclude_categories=()), max_size=4) | st.sampled_from(
    ["\x00", "\ud800", '"', "\\", "$", "eq", "gt"]
)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.sampled_from([10**400, 2**63])
JSON = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte", "in", ""]) | TEXT, inner, max_size=3)
    ),
    max_leaves=6,
)
QUERY = "feriado nacional"
bounded = hypothesis_settings(
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def sent(client: httpx.Client, method: str, path: str, body: Any) -> httpx.Response:
    return client.request(method, path, content=json.dumps(body), headers={"Content-Type": "application/json"})


@pytest.fixture(scope="module")
def acme(api: Api) -> Any:
    with httpx.Client(base_url=api.url, headers=api.acme, timeout=60) as client:
        yield client


@bounded
@example([["x"]])
@example({})
@example([{"gte": 1}])
@example({"gte": None})
@example({"gte": ["x"]})
@example(float("nan"))
@example([1, {}])
@given(JSON)
def test_a_condition_is_understood_or_refused(acme: httpx.Client, wanted: Any) -> None:
    """On a field that nothing has, whatever is understood finds nothing."""
    answer = sent(acme, "POST", "/search/semantic", {"query": QUERY, "filter": {NOBODY: wanted}})
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        assert answer.json()["hits"] == []
        assert wanted != {}
    else:
        assert answer.json()["code"] == "bad-argument"
        assert "gte" in answer.json()["detail"]


@bounded
@example({})
@example({"": 1})
@example({"\ud800": 1})
@given(JSON)
def test_a_whole_filter_is_understood_or_refused(acme: httpx.Client, filter: Any) -> None:
    answer = sent(acme, "POST", "/search/semantic", {"query": QUERY, "filter": filter})
    assert answer.status_code in (200, 422), answer.text
    if filter in (None, {}) and not isinstance(filter, bool | int):
        assert answer.json()["hits"]


@bounded
@given(st.dictionaries(TEXT, JSON, max_size=2))
def test_an_agent_is_stored_with_a_filter_that_it_can_search_with(acme: httpx.Client, filter: Any) -> None:
    stored = sent(acme, "PUT", "/agents/filtrado", {"filter": filter})
    assert stored.status_code in (200, 422), stored.text
    if stored.status_code == 200:
        said = acme.post("/agents/filtrado/chat", json={"message": QUERY, "store": False})
        assert said.status_code == 200, said.text


def test_an_empty_list_finds_nothing_and_no_condition_everything(acme: httpx.Client) -> None:
    def hits(filter: Any) -> int:
        return len(sent(acme, "POST", "/search/semantic", {"query": QUERY, "filter": filter}).json()["hits"])

    assert hits({"source": []}) == 0
    assert hits({}) == hits(None) == hits({"source": "feriados.md"}) > 0


def test_as_many_values_as_postgres_can_read(acme: httpx.Client) -> None:
    most = [f"{n}.md" for n in range(MOST_VALUES - 1)] + ["feriados.md"]
    full = sent(acme, "POST", "/search/semantic", {"query": QUERY, "filter": {"source": most}})
    assert full.status_code == 200
    assert full.json()["hits"]
    over = sent(acme, "POST", "/search/semantic", {"query": QUERY, "filter": {"source": [*most, "x"]}})
    assert (over.status_code, over.json()["code"]) == (422, "bad-argument")


STORED: list[Any] = [{"area": [["x"]]}, {"area": {}}, {"area": {"like": "x"}}, ["area"], "area", 3]


@pytest.mark.parametrize("filter", STORED, ids=json.dumps)
async def test_an_agent_that_was_stored_with_another_filter_says_so(api: Api, acme: httpx.Client, filter: Any) -> None:
    """As an older version stored it."""
    connection = await asyncpg.connect(api.database_url)
    await connection.execute(
        "INSERT INTO ateneo.agent (empresa_id, agent_id, filter) VALUES ('acme', 'viejo', $1::jsonb)"
        " ON CONFLICT (empresa_id, agent_id) DO UPDATE SET filter = excluded.filter",
        json.dumps(filter),
    )
    await connection.close()
    for stream in (False, True):
        answer = acme.post("/agents/viejo/chat", json={"message": QUERY, "stream": stream})
        assert (answer.status_code, answer.json()["code"]) == (409, "agent-unusable")
    assert "ateneo agents set viejo --empresa-id acme" in answer.json()["remedy"]
    listed = acme.get("/agents").json()
    assert [one["filter"] for one in listed if one["agent_id"] == "viejo"] == [filter]
    assert acme.put("/agents/viejo", json={"filter": {"area": "x"}}).status_code == 200
    assert acme.post("/agents/viejo/chat", json={"message": QUERY}).json()["state"] == "unknown"
    assert acme.delete("/agents/viejo").status_code == 204


class Odd:
    """What JSON has not."""


@pytest.mark.parametrize(
    "wanted", [Odd(), {1}, b"x", {"gte": Odd()}, [Odd()], 10**5000, float("inf")], ids=lambda one: type(one).__name__
)
async def test_python_is_refused_what_json_cannot_say(api: Api, wanted: Any) -> None:
    async with await Container.open(settings(api.database_url)) as container:
        with pytest.raises(BadArgument, match="filter"):
            await container.search.search("acme", QUERY, filter={NOBODY: wanted}, mode="lexical")
        with pytest.raises(BadArgument, match="filter"):
            await container.search.search("acme", QUERY, filter=[("a", "b")], mode="lexical")  # type: ignore[arg-type]


async def test_the_context_of_an_agent_that_was_stored_with_another_filter(api: Api) -> None:
    async with await Container.open(settings(api.database_url)) as container:
        connection = await asyncpg.connect(api.database_url)
        await connection.execute(
            "INSERT INTO ateneo.agent (empresa_id, agent_id, filter) VALUES ('acme', 'roto', '[1]')"
        )
        await connection.close()
        with pytest.raises(AgentUnusable):
            await container.search.get_context_for_agent("acme", QUERY, "roto")


@pytest.mark.parametrize("filter", ['{"area": {}}', '{"area": [["x"]]}', '{"area": [{"gt": 1}]}'])
async def test_sql_refuses_them_too(database_url: str, filter: str) -> None:
    connection = await asyncpg.connect(database_url)
    with pytest.raises(asyncpg.PostgresError, match="area") as refused:
        await connection.fetch("SELECT ateneo.filter_path($1::jsonb)", filter)
    assert refused.value.sqlstate == "AT002"
    await connection.close()
