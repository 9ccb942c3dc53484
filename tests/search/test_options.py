"""The options of a search: checked when they are made, given whole or by their names."""

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument
from ateneo.ingestion.service import IngestionService
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.search.options import NamedOptions, SearchOptions
from ateneo.search.service import VectorSearchService
from ateneo.types import Agent


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"k": 0}, "k"),
        ({"k": 201}, "k"),
        ({"skip": -1}, "skip"),
        ({"skip": 1001}, "skip"),
        ({"neighbours": 11}, "neighbours"),
        ({"mode": "magic"}, "mode"),
        ({"fusion": "sum"}, "fusion"),
        ({"dense_weight": 1.01}, "dense_weight"),
        ({"min_score": -0.1}, "min_score"),
        ({"min_score": float("nan")}, "min_score"),
        ({"dense_weight": float("nan")}, "dense_weight"),
        ({"filter": {"a": {"like": "b"}}}, "filter"),
        ({"language": "es", "filter": {"language": "en"}}, "language"),
    ],
)
def test_a_wrong_option_is_named(wrong: dict[str, Any], name: str) -> None:
    with pytest.raises(BadArgument) as raised:
        SearchOptions(**wrong)
    assert raised.value.fields["name"] == name


def test_the_borders_are_allowed() -> None:
    SearchOptions(k=1, skip=0, neighbours=0, dense_weight=0)
    SearchOptions(k=200, skip=1000, neighbours=10, dense_weight=1)


def test_they_do_not_change() -> None:
    filter = {"area": ["a"]}
    options = SearchOptions(filter=filter)
    filter["area"].append("b")
    assert options.conditions == {"area": ["a"]}
    with pytest.raises(FrozenInstanceError):
        options.k = 3  # type: ignore[misc]


def test_the_language_is_a_condition() -> None:
    assert SearchOptions().conditions is SearchOptions(filter={}).conditions is None
    assert SearchOptions(language="es", filter={"area": "x"}).conditions == {"area": "x", "language": "es"}


def test_an_agents_options() -> None:
    agent = Agent("rrhh", k=7, dense_weight=0.3, filter={"area": "x"})
    assert SearchOptions.for_agent(agent) == SearchOptions(7, dense_weight=0.3, filter={"area": "x"})


def test_the_names_are_those_of_the_fields() -> None:
    own = {field.name for field in fields(SearchOptions) if field.init} - {"k"}
    assert NamedOptions.__annotations__.keys() == own


@pytest.fixture(scope="module")
def embedding() -> EmbeddingService:
    return EmbeddingService(LocalEmbedder(bundled_model_dir(), threads=1))


@pytest.fixture
async def search(database: Database, embedding: EmbeddingService) -> VectorSearchService:
    for number in range(4):
        text = f"Aviso {number}: los feriados se pagan dobles.".encode()
        await IngestionService(database, embedding).process_document(text, "acme", name=f"{number}.md")
    return VectorSearchService(database, embedding)


async def test_whole_or_by_name_it_is_the_same_search(search: VectorSearchService) -> None:
    options = SearchOptions(2, "lexical", skip=1)
    whole = await search.search("acme", "feriados", options=options)
    assert whole == await search.search("acme", "feriados", 2, mode="lexical", skip=1)
    assert (len(whole.hits), whole.mode) == (2, "lexical")


async def test_what_is_named_wins(search: VectorSearchService) -> None:
    options = SearchOptions(2, "lexical", skip=1)
    changed = await search.search("acme", "feriados", 3, options=options, skip=0)
    assert (len(changed.hits), changed.mode) == (3, "lexical")
    with pytest.raises(BadArgument, match="skip"):
        await search.search("acme", "feriados", options=options, skip=-1)


async def test_an_option_that_does_not_exist(search: VectorSearchService) -> None:
    with pytest.raises(TypeError, match="dense_weigth"):
        await search.search("acme", "feriados", dense_weigth=0.5)  # type: ignore[call-arg]
