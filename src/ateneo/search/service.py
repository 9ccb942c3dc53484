"""Search by meaning and by words, and the context that agents answer from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

from ateneo.db import agents, usage
from ateneo.db import search as statements
from ateneo.db.pool import Database
from ateneo.db.usage import Bill, Share
from ateneo.embedding.current_model import CurrentModel, Model, Models
from ateneo.embedding.scale import scale_of
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument, EmptyQuery, GenerationMismatch, QueryTooLong
from ateneo.i18n import tr
from ateneo.ports import TokenCounter
from ateneo.search.context import build_context
from ateneo.search.filters import with_checked_filter
from ateneo.search.options import MOST_HITS, NamedOptions, SearchOptions
from ateneo.search.passages import by_document, highlighted, surrounded
from ateneo.search.relevance import relevance
from ateneo.search.reranking import Reranking
from ateneo.search.rewriting import DEPTH, Rewriting, together
from ateneo.search.side_request import metered
from ateneo.search.token_estimate import HigherCount, TokenEstimate
from ateneo.tenant_id import tenant_id
from ateneo.text.clean import clean
from ateneo.types import Agent, Generation, Hit, Mode, SearchResult, Spent, Tenant

POOLS = (100, 400, 1200)
"""How many passages each leg proposes for the fusion."""


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
        rewriting: Rewriting | None = None,
        pinned: Model | None = None,
    ) -> None:
        """`dense_weight` None: that of the model that embeds the query."""
        models = Models.wrap(embedding)
        self.db = Database.wrap(db)
        self.embedding = pinned.embedding if pinned else models.main
        self._weight = dense_weight
        self.max_query_chars = max_query_chars
        self._reranking = reranking
        self._rewriting = rewriting
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
        k: int | None = None,
        *,
        options: SearchOptions | None = None,
        charge: bool = True,
        **named: Unpack[NamedOptions],
    ) -> SearchResult:
        """The best passages of `empresa_id`, as SearchOptions say: given whole, or by their names, which win. One
        statement once the query is embedded; one more, for all hits, where `neighbours` or `section` is asked.

        A text that many passages have is one hit, which counts the others (`duplicates`, `same_text`). In the query
        "quoted words" must occur in a row and -words must not. Where a reranker fails or takes too long the fused order
        stays and `warnings` say so. What a chat model billed for it is `spent`;
        `charge` adds it to the usage of the company.

        Raises EmptyQuery, QueryTooLong, BadArgument, GenerationMismatch, ProviderError, DatabaseError.
        """
        empresa_id = tenant_id(empresa_id)
        text = self._checked(query)
        options = _options(options, {**named} if k is None else {**named, "k": k})
        reranking = self._asked_reranking(options.rerank)
        rewriting = self._asked_rewriting(options)
        first, count = _window(options, reranking) if rewriting is None else _wide_window(options, reranking)
        asked, found = await self._ask(self._query(empresa_id, text, options, first, count), options)
        spent: list[Spent] = []
        reworded: list[str] = []
        if rewriting is not None:
            with metered() as spent:
                other, failed = await rewriting.rewritten(empresa_id, text)
            reworded += [failed] if failed else []
            found = await self._beside(empresa_id, other, options, count, found, failed)
        hits = found.hits if options.min_score is None else await self._relevant(found, options.min_score)
        warnings = [*self._warnings(found, asked, options.mode), *reworded]
        if reranking and first == 0:
            with metered() as reranked:
                hits, unordered = await reranking.order(text, hits)
            warnings += unordered
            spent += reranked
        if charge:
            await self._charge(empresa_id, spent)
        hits = await self._completed(empresa_id, _page(hits, options, first), found, options)
        return SearchResult(
            query=text,
            mode=options.mode if asked.generation is not None else "lexical",
            hits=hits,
            groups=tuple(by_document(hits)) if options.group_by_document else (),
            dense_weight=asked.dense_weight,
            warnings=tuple(warnings),
            corrected=found.corrected,
            plan=found.plan,
            spent=tuple(spent),
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
        found = await self.search(empresa_id, query, options=SearchOptions.for_agent(chosen))
        return build_context(found.hits, self.context_counter, max_tokens=max_tokens).text

    async def generation(self) -> Generation | None:
        """Whose vectors searches compare with now; None where there are none."""
        model = await self._model()
        return None if model is None else model.generation

    @property
    def context_counter(self) -> TokenCounter:
        """Counts what passages take of a model whose own counting is not at hand: never less than the embedder's."""
        return HigherCount(TokenEstimate(), self.embedding)

    async def close(self) -> None:
        """Closes the reranker; the database and the embedding service stay the caller's."""
        self._current.close()
        if self._reranking is not None:
            await self._reranking.reranker.close()
        if self._rewriting is not None:
            await self._rewriting.chat.close()

    def _asked_reranking(self, rerank: bool | None) -> Reranking | None:
        if rerank and self._reranking is None:
            rule = tr("no hay un reranker: configurá ATENEO_RERANKER", "there is no reranker: set ATENEO_RERANKER")
            raise BadArgument(name="rerank", value=rerank, rule=rule)
        return None if rerank is False else self._reranking

    def _asked_rewriting(self, options: SearchOptions) -> Rewriting | None:
        if options.rewrite and self._rewriting is None:
            rule = tr("no hay quien reescriba: configurá ATENEO_REWRITER", "nothing rewrites: set ATENEO_REWRITER")
            raise BadArgument(name="rewrite", value=options.rewrite, rule=rule)
        beyond = options.skip + options.k > MOST_HITS
        return None if options.rewrite is False or beyond else self._rewriting

    async def _beside(
        self,
        empresa_id: str,
        other: str,
        options: SearchOptions,
        count: int,
        found: statements.Candidates,
        failed: str,
    ) -> statements.Candidates:
        """What was found, with what the other wording finds; the plan says how it was searched."""
        hits = found.hits
        if other:
            _, more = await self._ask(self._query(empresa_id, other, options, 0, count), options)
            hits = together(hits, more.hits)
        told = {"rewriting": {"query": other or None, "failed": failed or None}}
        return replace(found, hits=hits, plan=None if found.plan is None else {**found.plan, **told})

    async def _charge(self, empresa_id: str, spent: Sequence[Spent]) -> None:
        for one in spent:
            share = Share(0, one.usage.total, one.cost or 0.0)
            await usage.charge_own_now(self.db, empresa_id, Bill(one.provider, one.model, share))

    def _checked(self, query: str) -> str:
        text = clean(query).strip()
        if not text:
            raise EmptyQuery()
        if len(text) > self.max_query_chars:
            raise QueryTooLong(length=len(text), limit=self.max_query_chars)
        return text

    def _query(self, empresa_id: str, text: str, options: SearchOptions, first: int, count: int) -> statements.Query:
        """The statement's arguments, without the query's vector."""
        return statements.Query(
            empresa_id=empresa_id,
            text=text,
            k=count,
            dense_weight=self.dense_weight if options.dense_weight is None else options.dense_weight,
            pool=next((size for size in POOLS if size >= count + first), POOLS[-1]),
            filter=options.conditions,
            fusion=options.fusion,
            skip=first,
            explain=options.explain,
        )

    async def _model(self) -> Model | None:
        return self._pinned or await self._current.get()

    async def _relevant(self, found: statements.Candidates, least: float) -> tuple[Hit, ...]:
        """The hits that answer with that probability, each with its own."""
        by_meaning = any(hit.dense_score is not None for hit in found.hits)
        model = await self._model() if by_meaning else None
        scale = None if model is None else await scale_of(model.embedding)
        weighed = (replace(hit, relevance=relevance(hit, scale, found.passages)) for hit in found.hits)
        return tuple(hit for hit in weighed if (hit.relevance or 0.0) >= least)

    async def _completed(
        self, empresa_id: str, hits: tuple[Hit, ...], found: statements.Candidates, options: SearchOptions
    ) -> tuple[Hit, ...]:
        """The hits with what stands around them and where their words are, as far as it was asked for."""
        hits = await surrounded(self.db, empresa_id, hits, neighbours=options.neighbours, section=options.section)
        return highlighted(hits, found.corrected) if options.highlight else hits

    async def _vector_schema(self) -> str:
        if self._schema is None:
            self._schema = await statements.vector_schema(self.db)
        return self._schema

    async def _ask(
        self, asked: statements.Query, options: SearchOptions
    ) -> tuple[statements.Query, statements.Candidates]:
        """Asks with the query's vector, by the model of the generation that it is compared with. Where that went in the
        same moment, the one in its place is asked."""
        schema = await self._vector_schema()
        for attempt in (1, 2):
            query = asked if options.mode == "lexical" else await self._with_meaning(asked, options)
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

    async def _with_meaning(self, asked: statements.Query, options: SearchOptions) -> statements.Query:
        model = await self._model()
        if model is None or asked.text is None:
            return asked
        own_weight = options.dense_weight is None and self._weight is None
        return replace(
            asked,
            text=None if options.mode == "dense" else asked.text,
            vector=await model.embedding.embed_query(asked.text, asked.empresa_id),
            generation=model.generation.number,
            dense_weight=model.embedding.dense_weight if own_weight else asked.dense_weight,
        )

    def _warnings(self, found: statements.Candidates, asked: statements.Query, mode: Mode) -> Iterator[str]:
        no_vectors = asked.generation is None and mode != "lexical"
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


def _options(given: SearchOptions | None, named: Mapping[str, Any]) -> SearchOptions:
    if given is None:
        return SearchOptions(**named)
    return replace(given, **named) if named else given


def _window(options: SearchOptions, reranking: Reranking | None) -> tuple[int, int]:
    """The first and the number of the hits to fetch. A page that a reranker's candidates reach into starts at them."""
    if options.group_by_document:
        return 0, MOST_HITS
    if reranking and options.skip < reranking.candidates:
        return 0, min(MOST_HITS, max(reranking.candidates, options.skip + options.k))
    return options.skip, options.k


def _wide_window(options: SearchOptions, reranking: Reranking | None) -> tuple[int, int]:
    """The same where hits of two wordings are put together: always from the first one on."""
    _, count = _window(replace(options, skip=0), reranking)
    return 0, min(MOST_HITS, max(DEPTH, count, options.skip + options.k))


def _page(hits: tuple[Hit, ...], options: SearchOptions, first: int) -> tuple[Hit, ...]:
    """The hits, or the documents, that were asked for; `hits` begin at number `first`."""
    if options.group_by_document:
        groups = by_document(hits)[options.skip : options.skip + options.k]
        return tuple(hit for group in groups for hit in group.hits)
    return hits[options.skip - first :][: options.k]
