"""The LlamaIndex retriever with the real package."""

import pytest
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode, NodeWithScore
from tests.integrations.conftest import Place

from ateneo.errors import BadArgument
from ateneo.integrations.llama_index import AteneoRetriever

QUESTION = "¿cuánto pagan si trabajo un feriado?"


def check(nodes: list[NodeWithScore]) -> None:
    assert len(nodes) == 2 and (nodes[0].score or 0) >= (nodes[1].score or 0) > 0
    first = nodes[0].node
    assert "recargo del cien por ciento" in first.get_content(MetadataMode.NONE)
    assert first.metadata["label"] == "Feriados y horas extra · Pago"
    assert first.ref_doc_id == first.metadata["document_id"]


async def test_nodes_with_their_source(place: Place) -> None:
    retriever = AteneoRetriever("acme", similarity_top_k=2, connection=place.connection)
    check(await retriever.aretrieve(QUESTION))


def test_nodes_without_await(place: Place) -> None:
    retriever = AteneoRetriever("acme", similarity_top_k=2, mode="lexical", connection=place.connection)
    check(retriever.retrieve(QUESTION))
    filtered = AteneoRetriever("acme", filter={"area": "ventas"}, connection=place.connection)
    assert filtered.retrieve(QUESTION) == []
    assert AteneoRetriever("otra", connection=place.connection).retrieve(QUESTION) == []


def test_only_what_is_likely_to_answer(place: Place) -> None:
    retriever = AteneoRetriever("acme", similarity_top_k=3, min_score=0.3, connection=place.connection)
    [node] = retriever.retrieve(QUESTION)
    assert 0.3 <= node.node.metadata["relevance"] <= 1
    assert AteneoRetriever("acme", min_score=1, connection=place.connection).retrieve(QUESTION) == []


def test_in_a_query_engine(place: Place) -> None:
    retriever = AteneoRetriever("acme", similarity_top_k=2, connection=place.connection)
    response = RetrieverQueryEngine.from_args(retriever, llm=MockLLM()).query(QUESTION)
    check(response.source_nodes)
    assert "recargo del cien por ciento" in str(response)


def test_a_company_is_required() -> None:
    with pytest.raises(BadArgument, match="empresa_id"):
        AteneoRetriever("")
