"""Tables of the product's as sources: add, list, check, remove, and bring up to date.

sources = SourceService(db, models)
draft = await sources.draft("app.kb_chunks")
added = await sources.add(draft)
await sources.sync(added.name)
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ateneo.db import sources as store
from ateneo.db import statistics
from ateneo.db.pool import Database
from ateneo.embedding.current_model import Models
from ateneo.embedding.generation import own_generation
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument
from ateneo.i18n import tr
from ateneo.sources import presets, proposal, vectors
from ateneo.sources.rows import Chunker
from ateneo.sources.settling import empty_page, settle_page
from ateneo.types.sources import (
    Follow,
    Source,
    SourceCheck,
    SourceDraft,
    SourceMapping,
    SourcePreview,
    SourceProgress,
    TableFacts,
)

_BUSY_S = 0.5


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the texts of a source take, by a sample of them; `saved_tokens` more are those of rows that bring a vector.
    `check_tokens`: what checking these takes. None in dollars: the model's price is not known."""

    tokens: int
    usd: float | None
    model: str
    saved_tokens: int = 0
    saved_usd: float | None = None
    check_tokens: int = 0


class SourceService:
    """For whoever operates the database: `db` acts as the owner of schema ateneo, and reads the product's tables."""

    def __init__(self, db: Database, models: Models, *, chunk_tokens: int = 200, chunk_overlap: int = 32) -> None:
        self.db = db
        self._models = models
        self._embedding = models.main
        self._chunker = Chunker(models.main, chunk_tokens, chunk_overlap)

    async def draft(self, table: str, *, name: str | None = None, poll: bool = False, **chosen: Any) -> SourceDraft:
        """The source that a table or view would be: proposed from its columns, except for the fields of SourceMapping
        that are given ('' for one that is not wanted). Changes nothing.

        Raises Unknown, BadArgument for what is missing, and for columns that are not there.
        """
        facts = await store.table_facts(self.db, table)
        polled = poll or facts.is_view
        proposed = proposal.proposed(facts, polled=polled)
        if "vector" not in chosen and not chosen.get("model"):  # of whose model they are, nobody said
            unused, proposed = proposed.vector, replace(proposed, vector=None)
        else:
            unused = None
        mapping = await self._chosen(proposed, chosen, facts)
        return SourceDraft(name or facts.name, facts.relation, "poll" if polled else "triggers", mapping, unused)

    async def draft_of(
        self,
        kind: str,
        table: str | None = None,
        *,
        name: str | None = None,
        collection: str | None = None,
        **chosen: Any,
    ) -> SourceDraft:
        """The same for a table that another library made: `langchain`, `llamaindex`, `supabase`, `pgai`, `r2r`. Found
        by its columns where it is not named; of LangChain's one `collection`, or all with the collection's name as the
        company. Their vectors are of the model in use, where no other is named."""
        found = await presets.proposed(self.db, kind, table, collection)
        mapping = await self._chosen(found.mapping, chosen, found.facts, found.parent)
        follow: Follow = "poll" if found.facts.is_view else "triggers"
        return SourceDraft(name or found.facts.name, found.facts.relation, follow, mapping, node=found.node)

    async def _chosen(
        self, proposed: SourceMapping, chosen: dict[str, Any], facts: TableFacts, parent: TableFacts | None = None
    ) -> SourceMapping:
        if chosen.get("empresa_id") is not None and "tenant" not in chosen:
            chosen["tenant"] = None
        chosen = {field: None if value == "" else value for field, value in chosen.items()}
        mapping = replace(proposed, **chosen)
        if mapping.vector and not mapping.model:
            mapping = replace(mapping, model=vectors.name_of(await vectors.model_in_use(self.db, self._models)))
        mapping = proposal.checked(mapping, facts, parent)
        if not facts.readable:
            rule = tr(
                "este rol no puede leer todas sus filas (permiso SELECT, o políticas de row-level security)",
                "this role cannot read all of its rows (the right SELECT, or policies of row-level security)",
            )
            raise BadArgument(name="table", value=facts.relation, rule=rule)
        return mapping

    async def preview(self, draft: SourceDraft) -> SourcePreview:
        """What it would bring; changes nothing. Raises BadArgument where PostgreSQL refuses the mapping, or a key is
        not one."""
        model = await self._vectors_model(draft)
        found = await store.preview(self.db, draft)
        if model is not None:
            found = replace(found, dims=model.dims)
            vectors.refuse_dimensions(draft.mapping, found)
        if found.repeated is not None:
            rule = tr(f"varias filas tienen ({', '.join(found.repeated)}): no identifica una fila",
                      f"several rows have ({', '.join(found.repeated)}): it does not identify a row")  # fmt: skip
            raise BadArgument(name="key (--id)", value=", ".join(draft.mapping.key), rule=rule)
        return found

    async def estimate(self, found: SourcePreview) -> Estimate:
        """What embedding all of it takes, by its sample."""
        characters = sum(len(text) for text in found.sample)
        tokens = sum(await asyncio.to_thread(self._embedding.count_tokens, list(found.sample))) if characters else 0
        rate = tokens / characters if characters else 0.0
        saved = round(rate * found.usable.characters)
        total = round(rate * (found.characters - found.usable.characters))
        price = self._embedding.price
        few = round(saved / max(found.usable.rows, 1)) * min(found.usable.rows, vectors.SAMPLE)
        cost, kept = (None, None) if price is None else (total * price / 1e6, saved * price / 1e6)
        return Estimate(total, cost, self._embedding.model, saved, kept, few)

    async def add(self, draft: SourceDraft, *, trust_vectors: bool = False) -> Source:
        """Makes it a source and queues all of its rows; `sync`, or the worker, stores them. Vectors that it brings are
        compared before with those that the model gives some of the texts, unless `trust_vectors`. Raises BadArgument,
        ProviderError, DatabaseError."""
        model = await self._vectors_model(draft)
        if model is not None:
            if not trust_vectors:
                some = await store.texts_with_vectors(self.db, draft, model.dims or 0, vectors.SAMPLE)
                await vectors.refuse_other_vectors(model, some)
            await own_generation(self.db, model)
            draft = replace(draft, mapping=replace(draft.mapping, model=vectors.name_of(model)))
        return await store.add(self.db, draft)

    async def _vectors_model(self, draft: SourceDraft) -> EmbeddingService | None:
        """The model of the vectors that it brings, if any."""
        if draft.mapping.vector is None:
            return None
        return await vectors.service_of(self.db, self._models, draft.mapping)

    async def listed(self, *, counted: bool = True) -> list[Source]:
        """Not `counted`: without the number of rows, and with 1 for any that are pending, which is quick."""
        return await store.sources(self.db, counted=counted)

    async def show(self, name: str) -> Source:
        """Raises Unknown."""
        return await store.source(self.db, name)

    async def check(self, name: str) -> SourceCheck:
        """Compares the table with what is stored of it, queues the differences, and mends triggers. Raises Unknown,
        BadArgument where the table no longer has what the mapping names, DatabaseError."""
        return await store.check(self.db, await self.show(name))

    async def sync(
        self,
        name: str,
        on_page: Callable[[int, int], None] | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> SourceProgress:
        """Stores what waits, until nothing does, or until `stopping`; `on_page` is told (done, of how many). What is
        left is for the next time, or the worker. Raises Unknown, DatabaseError."""
        source = await self.show(name)
        total = SourceProgress()
        while not stopping():
            page = await settle_page(self.db, source, self._chunker)
            if page is None:
                await asyncio.sleep(_BUSY_S)
                continue
            total += page
            if not page.changes:
                break
            if on_page is not None:
                on_page(total.changes, max(source.pending, total.changes))
        await self._keep_statistics(total)
        return total

    async def poll(self, source: Source) -> int:
        """Queues what changed since the last poll, or of a source without a cursor all that differs."""
        since = await store.poll_from(self.db, source) if source.mapping.cursor else None
        return await store.compare(self.db, source, since=since)

    async def remove(self, name: str, on_page: Callable[[int, int], None] | None = None) -> int:
        """Removes the triggers and what was stored of the source; the table stays as it is. Returns how many rows.

        Raises Unknown, DatabaseError."""
        source = await self.show(name)
        await store.unfollow(self.db, source)
        gone = 0
        while page := await empty_page(self.db, source):
            gone += page
            if on_page is not None:
                on_page(gone, source.rows)
        await store.remove(self.db, source)
        return gone

    async def embed(self, name: str) -> None:
        """From now on its texts are embedded here, and vectors of the table's are not taken over any more. What is
        stored stays until its row changes. Raises Unknown, DatabaseError."""
        await store.keep_own_vectors(self.db, await self.show(name))

    async def note_error(self, source: Source, error: str) -> None:
        await store.note_error(self.db, source, error)

    async def _keep_statistics(self, done: SourceProgress) -> None:
        for company in sorted(done.companies):
            with suppress(BadArgument):  # erased meanwhile
                await statistics.keep(self.db, company)
