"""The LangChain classes against the real packages: their own standard suites, and what is Ateneo's."""

import asyncio
import itertools
import subprocess
import sys
from typing import Any

import asyncpg
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests
from tests.integrations.conftest import Place

from ateneo.errors import BadArgument
from ateneo.integrations.langchain import AteneoEmbeddings, AteneoRetriever, AteneoVectorStore

_numbers = itertools.count()


@pytest.fixture
def store(place: Place) -> AteneoVectorStore:
    """An empty one: each test is a company of its own."""
    return AteneoVectorStore(f"empresa-{next(_numbers)}", connection=place.connection)


class TestStandardVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, store: AteneoVectorStore) -> VectorStore:
        return store


class TestStandardRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _placed(self, place: Place) -> None:
        self.place = place

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return AteneoRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"empresa_id": "acme", "connection": self.place.connection}

    @property
    def retriever_query_example(self) -> str:
        return "¿cuántos días de licencia dan por mudanza?"


def test_documents_tell_where_they_come_from(place: Place) -> None:
    retriever = AteneoRetriever(empresa_id="acme", k=1, connection=place.connection)
    [document] = retriever.invoke("¿cuánto pagan si trabajo un feriado?")
    assert "recargo del cien por ciento" in document.page_content
    told = {key: document.metadata[key] for key in ("title", "source", "headings", "label", "area")}
    assert told == {
        "title": "Feriados y horas extra",
        "source": "feriados.md",
        "headings": ["Feriados y horas extra", "Pago"],
        "label": "Feriados y horas extra · Pago",
        "area": "personal",
    }
    assert document.metadata["score"] > 0 and -1 <= document.metadata["dense_score"] <= 1
    assert document.id is not None and "connection" not in repr(retriever)
    assert retriever.invoke("feriado", filter={"area": "ventas"}) == []


def test_only_what_is_likely_to_answer(place: Place) -> None:
    retriever = AteneoRetriever(empresa_id="acme", k=3, min_score=0.3, connection=place.connection)
    [document] = retriever.invoke("¿cuánto pagan si trabajo un feriado?")
    assert 0.3 <= document.metadata["relevance"] <= 1
    assert retriever.invoke("¿cuánto pagan si trabajo un feriado?", min_score=1) == []
    assert len(retriever.invoke("¿cuánto pagan si trabajo un feriado?", min_score=0)) == 3


async def test_what_is_added_lies_in_the_record_with_its_vector(place: Place, store: AteneoVectorStore) -> None:
    text = "El depósito de telas cierra a las seis de la tarde."
    [one, two] = await store.aadd_texts([text, "otro"], [{"tipo": "aviso"}, {"tipo": "nota"}], ids=["aviso-1", None])
    assert one == "aviso-1" and two
    connection = await asyncpg.connect(place.url)
    row = await connection.fetchrow(
        "SELECT contenido, tokens_count, embedding IS NOT NULL AS embedded, document_id FROM knowledge_chunks"
        " WHERE empresa_id = $1 AND id = 'aviso-1'",
        store.empresa_id,
    )
    await connection.close()
    assert row is not None and row["tokens_count"] > 5
    assert (row["contenido"], row["embedded"], row["document_id"]) == (text, True, None)
    [found] = await store.asimilarity_search("¿a qué hora cierra el depósito?", 1, filter={"tipo": "aviso"})
    assert found == Document(id="aviso-1", page_content=text, metadata={"tipo": "aviso"})
    assert await store.asimilarity_search("depósito", 4, filter={"tipo": "factura"}) == []


def test_companies_do_not_see_each_other(place: Place, store: AteneoVectorStore) -> None:
    store.add_texts(["El precio del añil es secreto."], ids=["secreto"])
    other = AteneoVectorStore(f"{store.empresa_id}-vecina", connection=place.connection)
    assert other.similarity_search("precio del añil") == [] and other.get_by_ids(["secreto"]) == []
    # the same id is another text there, and deleting it leaves ours
    other.add_texts(["Nada."], ids=["secreto"])
    other.delete(["secreto"])
    assert [one.page_content for one in store.get_by_ids(["secreto"])] == ["El precio del añil es secreto."]


def test_scores_and_thresholds(store: AteneoVectorStore) -> None:
    store.add_texts(["La contraseña se cambia cada noventa días.", "El comedor abre al mediodía."])
    question = "¿cada cuánto cambio mi contraseña?"
    scored = store.similarity_search_with_score(question, 2)
    assert scored[0][1] > scored[1][1] and "contraseña" in scored[0][0].page_content
    relevant = store.similarity_search_with_relevance_scores(question, 2)
    assert 1 >= relevant[0][1] > relevant[1][1] >= 0
    limit = (relevant[0][1] + relevant[1][1]) / 2
    kept = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": limit, "k": 2}
    )
    assert [one.page_content for one in kept.invoke(question)] == [scored[0][0].page_content]


def test_from_texts_with_the_settings_model_only(place: Place) -> None:
    embedding = AteneoEmbeddings(place.connection)
    store = AteneoVectorStore.from_texts(
        ["hola, mundo"], embedding, empresa_id=f"empresa-{next(_numbers)}", connection=place.connection
    )
    assert store.similarity_search("mundo", 1)[0].page_content == "hola, mundo"
    assert len(embedding.embed_query("hola")) == len(embedding.embed_documents(["hola"])[0]) == 384
    with pytest.raises(BadArgument, match="DeterministicFakeEmbedding"):
        AteneoVectorStore.from_texts(["hola"], DeterministicFakeEmbedding(size=6), empresa_id="x")


@pytest.mark.parametrize("empresa_id", ["", "  ", "x" * 201])
def test_a_company_is_required(empresa_id: str) -> None:
    for build in (AteneoVectorStore, lambda name: AteneoRetriever(empresa_id=name)):
        with pytest.raises(BadArgument, match="empresa_id"):
            build(empresa_id)


def test_wrong_arguments_write_nothing(store: AteneoVectorStore) -> None:
    for texts, metadatas, ids in (
        (["uno", "dos"], [{}], None),
        (["uno", "dos"], None, ["1"]),
        (["uno", ""], None, None),
        (["uno"], [{"fecha": {1, 2}}], None),
        (["uno"], None, [" "]),
    ):
        with pytest.raises(BadArgument):
            store.add_texts(texts, metadatas, ids=ids)  # type: ignore[arg-type]
    with pytest.raises(BadArgument, match="ids"):
        store.delete()
    assert store.add_texts([]) == [] and store.similarity_search("uno") == []


def test_of_two_texts_with_one_id_the_last_stays(store: AteneoVectorStore) -> None:
    assert store.add_texts(["primero", "medio", "último"], ids=["a", "b", "a"]) == ["a", "b", "a"]
    assert [one.page_content for one in store.get_by_ids(["a", "b", "c"])] == ["último", "medio"]
    assert [one.id for one in store.similarity_search("último", 1)] == ["a"]


def test_threads_and_loops_share_one_container(place: Place, store: AteneoVectorStore) -> None:
    async def some() -> list[list[Document]]:
        return await asyncio.gather(*(store.asimilarity_search("feriado") for _ in range(6)))

    store.add_texts(["El feriado se paga doble."])
    assert all(len(found) == 1 for _ in range(2) for found in asyncio.run(some()))
    assert len(store.similarity_search("feriado")) == 1


def test_without_the_extra_the_import_says_what_to_install() -> None:
    for module, package, extra in (
        ("langchain", "langchain_core", "ateneo[langchain]"),
        ("llama_index", "llama_index.core.base.base_retriever", "ateneo[llama-index]"),
    ):
        code = f"import sys; sys.modules[{package!r}] = None; import ateneo.integrations.{module}"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 1 and extra in run.stderr.splitlines()[-1]
