"""Search by meaning and by words, and the context that agents answer from."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ateneo.db import agents
from ateneo.db import search as statements
from ateneo.db.pool import Database
from ateneo.embedding.current_model import CurrentModel, Model, Models
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument, EmptyQuery, GenerationMismatch, QueryTooLong
from ateneo.i18n import tr
from ateneo.ports import TokenCounter
from ateneo.search.context import build_context
from ateneo.search.filters import narrowed, with_checked_filter
from ateneo.search.passages import MOST_NEIGHBOURS, by_document, highlighted, surrounded
from ateneo.search.reranking import Reranking
from ateneo.search.token_estimate import HigherCount, TokenEstimate
from ateneo.tenant_id import tenant_id
from ateneo.text.clean import clean
from ateneo.types import Agent, Fusion, Hit, Mode, SearchResult, Tenant

POOLS = (100, 400, 1200)
"""How many passages each leg proposes for the fusion."""

MOST_HITS = 200
"""How many passages one statement gives back at most."""


class VectorSearchService:
    """Finds passages of one company. `db` is a Database, or an asyncpg connection or pool.

    With Models it follows a change of model by itself; `pinned` searches one generation and no other.
    """

    def __init__(
        self,
        db: Any,
        embedding: EmbeddingService | Models,
        *,
        dense_weight: float | None = None,
        max_query_chars: int = 4000,
        reranking: Reranking | None = None,
        pinned: Model | None = None,
    ) -> None:
        """`dense_weight` None: that of the model that embeds the query."""
        models = Models.wrap(embedding)
        self.db = Database.wrap(db)
        self.embedding = pinned.embedding if pinned else models.main
        self._weight = dense_weight
        self.max_query_chars = max_query_chars
        self._reranking = reranking
        self._pinned = pinned
        self._current = CurrentModel(self.db, models)
        self._schema: str | None = None

    @property
    def dense_weight(self) -> float:
        """The share of meaning where a search asks for none, with the settings' own model."""
        return self.embedding.dense_weight if self._weight is None else self._weight

    async def search(
        self,
        empresa_id: Tenant,
        query: str,
        k: int = 10,
        *,
        mode: Mode = "hybrid",
        dense_weight: float | None = None,
        filter: Mapping[str, Any] | None = None,
        language: str | None = None,
        fusion: Fusion = "convex",
        skip: int = 0,
        explain: bool = False,
        neighbours: int = 0,
        section: bool = False,
        group_by_document: bool = False,
        highlight: bool = False,
        rerank: bool | None = None,
    ) -> SearchResult:
        """The k best passages of `empresa_id` (1 <= k <= 200) after the first `skip` (<= 1000): one statement once the
        query is embedded; one more, for all hits, where `neighbours` or `section` is asked. A text that many passages
        have is one hit, which counts the others (`duplicates`, `same_text`).

        `neighbours` (<= 10): that many chunks before and after each hit in its document; `section`: all under its
        heading (20 to each side at most). `group_by_document`: k and skip count documents, of the best 200 passages,
        up to 3 of each. `highlight`: where the matched words stand in each hit. `rerank`: None reranks where a
        reranker is configured; where that fails or takes too long the fused order stays and `warnings` say so.

        `filter` restricts to passages whose document or chunk metadata fit: `{"tipo": "manual", "pais": ["AR", "MX"],
        "fecha": {"gte": "2024-01-01"}}`; also document_id, source, title, mime, page, chunk_index, created_at; see
        search/filters.py.
        `language` (es, en, pt, unknown; as ingestion found it) is short for `{"language": "es"}`.
        In the query "quoted words" must occur in a row and -words must not.

        Raises EmptyQuery, QueryTooLong, BadArgument, GenerationMismatch, ProviderError, DatabaseError.
        """
        empresa_id = tenant_id(empresa_id)
        text = self._checked(query, k, mode, skip, neighbours)
        if dense_weight is not None and not 0 <= dense_weight <= 1:
            raise BadArgument(name="dense_weight", value=dense_weight, rule=tr("va de 0 a 1", "it goes from 0 to 1"))
        if fusion not in ("convex", "rrf"):
            raise BadArgument(name="fusion", value=fusion, rule="convex, rrf")
        reranking = self._asked_reranking(rerank)
        first, count = _window(k, skip, group_by_document, reranking)
        asked = statements.Query(
            empresa_id=empresa_id,
            text=text,
            k=count,
            dense_weight=self.dense_weight if dense_weight is None else dense_weight,
            pool=next((size for size in POOLS if size >= count + first), POOLS[-1]),
            filter=narrowed(filter, "language", language),
            fusion=fusion,
            skip=first,
            explain=explain,
        )
        own_weight = dense_weight is None and self._weight is None
        asked, found = await self._ask(asked, mode, own_weight=own_weight)
        by_meaning = asked.generation is not None
        hits, warnings = found.hits, list(self._warnings(found, no_vectors=not by_meaning and mode != "lexical"))
        if reranking and first == 0:
            hits, failed = await reranking.order(text, hits)
            warnings += failed
        if group_by_document:
            hits = tuple(hit for group in by_document(hits)[skip : skip + k] for hit in group.hits)
        else:
            hits = hits[skip - first :][:k]
        hits = await surrounded(self.db, empresa_id, hits, neighbours=neighbours, section=section)
        if highlight:
            hits = highlighted(hits, found.corrected)
        return SearchResult(
            query=text,
            mode=mode if by_meaning else "lexical",
            hits=hits,
            groups=tuple(by_document(hits)) if group_by_document else (),
            dense_weight=asked.dense_weight,
            warnings=tuple(warnings),
            corrected=found.corrected,
            plan=found.plan,
        )

    async def semantic_search(self, empresa_id: Tenant, query: str, limit: int = 10) -> list[Hit]:
        """By meaning alone."""
        return list((await self.search(empresa_id, query, limit, mode="dense")).hits)

    async def hybrid_search(self, empresa_id: Tenant, query: str, limit: int = 10) -> list[Hit]:
        """By meaning and words together."""
        return list((await self.search(empresa_id, query, limit)).hits)

    async def get_context_for_agent(
        self, empresa_id: Tenant, query: str, agent_id: str | None = None, max_tokens: int = 4000
    ) -> str:
        """The passages that fit `max_tokens`, with their sources named: what the guide puts in the system prompt.

        Counted by a bound that errs high for every current chat model. Searched as the company's agent `agent_id` does,
        if there is one. Empty where nothing was found.
        """
        empresa_id = tenant_id(empresa_id)
        agent, _ = (None, False) if agent_id is None else await agents.find(self.db, empresa_id, clean(agent_id))
        chosen = with_checked_filter(empresa_id, agent or Agent(""))
        found = await self.search(empresa_id, query, chosen.k, dense_weight=chosen.dense_weight, filter=chosen.filter)
        return build_context(found.hits, self.context_counter, max_tokens=max_tokens).text

    @property
    def context_counter(self) -> TokenCounter:
        """Counts what passages take of a model whose own counting is not at hand: never less than the embedder's."""
        return HigherCount(TokenEstimate(), self.embedding)

    async def close(self) -> None:
        """Closes the reranker; the database and the embedding service stay the caller's."""
        self._current.close()
        if self._reranking is not None:
            await self._reranking.reranker.close()

    def _asked_reranking(self, rerank: bool | None) -> Reranking | None:
        if rerank and self._reranking is None:
            rule = tr("no hay un reranker: configurá ATENEO_RERANKER", "there is no reranker: set ATENEO_RERANKER")
            raise BadArgument(name="rerank", value=rerank, rule=rule)
        return None if rerank is False else self._reranking

    def _checked(self, query: str, k: int, mode: str, skip: int, neighbours: int) -> str:
        text = clean(query).strip()
        if not text:
            raise EmptyQuery()
        if len(text) > self.max_query_chars:
            raise QueryTooLong(length=len(text), limit=self.max_query_chars)
        if not 1 <= k <= 200:
            raise BadArgument(name="k", value=k, rule=tr("va de 1 a 200", "it goes from 1 to 200"))
        if not 0 <= skip <= 1000:
            raise BadArgument(name="skip", value=skip, rule=tr("va de 0 a 1000", "it goes from 0 to 1000"))
        if not 0 <= neighbours <= MOST_NEIGHBOURS:
            rule = tr(f"va de 0 a {MOST_NEIGHBOURS}", f"it goes from 0 to {MOST_NEIGHBOURS}")
            raise BadArgument(name="neighbours", value=neighbours, rule=rule)
        if mode not in ("hybrid", "dense", "lexical"):
            raise BadArgument(name="mode", value=mode, rule="hybrid, dense, lexical")
        return text

    async def _vector_schema(self) -> str:
        if self._schema is None:
            self._schema = await statements.vector_schema(self.db)
        return self._schema

    async def _ask(
        self, asked: statements.Query, mode: Mode, *, own_weight: bool
    ) -> tuple[statements.Query, statements.Candidates]:
        """Asks with the query's vector, by the model of the generation that it is compared with. Where that went in the
        same moment, the one in its place is asked."""
        schema = await self._vector_schema()
        for attempt in (1, 2):
            query = asked if mode == "lexical" else await self._with_meaning(asked, mode, own_weight=own_weight)
            try:
                return await self._distinct(query, schema)
            except GenerationMismatch:
                if attempt == 2 or self._pinned or query.generation is None:
                    raise
                self._current.forget()
        raise AssertionError

    async def _distinct(self, query: statements.Query, schema: str) -> tuple[statements.Query, statements.Candidates]:
        """As many different texts as were asked: among more candidates where equal ones crowd the others out."""
        found = await statements.search(self.db, query, schema=schema)
        while found.crowded and query.pool < POOLS[-1]:
            query = replace(query, pool=next(size for size in POOLS if size > query.pool))
            found = await statements.search(self.db, query, schema=schema)
        return query, found

    async def _with_meaning(self, asked: statements.Query, mode: Mode, *, own_weight: bool) -> statements.Query:
        model = self._pinned or await self._current.get()
        if model is None or asked.text is None:
            return asked
        return replace(
            asked,
            text=None if mode == "dense" else asked.text,
            vector=await model.embedding.embed_query(asked.text, asked.empresa_id),
            generation=model.generation.number,
            dense_weight=model.embedding.dense_weight if own_weight else asked.dense_weight,
        )

    def _warnings(self, found: statements.Candidates, *, no_vectors: bool) -> Iterator[str]:
        foreign = self._current.foreign
        if no_vectors and foreign is not None:
            yield tr(f"Busqué solo por palabras. {foreign}", f"I searched by words alone. {foreign}")
        elif no_vectors:
            yield tr(
                "Todavía no hay embeddings: busqué solo por palabras. Generalos con `ateneo backfill`.",
                "There are no embeddings yet: I searched by words alone. Make them with `ateneo backfill`.",
            )
        if found.phrases_nowhere:
            yield tr(
                "Ningún pasaje tiene la frase entre comillas tal cual: la busqué por sus palabras.",
                "No passage has the quoted phrase as it stands: I searched for its words.",
            )


def _window(k: int, skip: int, grouped: bool, reranking: Reranking | None) -> tuple[int, int]:
    """The first and the number of the hits to fetch. A page that a reranker's candidates reach into starts at them."""
    if grouped:
        return 0, MOST_HITS
    if reranking and skip < reranking.candidates:
        return 0, min(MOST_HITS, max(reranking.candidates, skip + k))
    return skip, k
