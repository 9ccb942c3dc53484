"""Ateneo as a library: one object that searches, reads documents in and answers, with and without `await`."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import partial, update_wrapper
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from anyio.from_thread import BlockingPortal, start_blocking_portal

from ateneo import i18n
from ateneo.agents.events import Event
from ateneo.agents.gaps import WEAK, Gaps, gaps
from ateneo.agents.service import DEFAULT_AGENT, ChatOptions
from ateneo.container import Container
from ateneo.db import drivers
from ateneo.db.sources import own_sources
from ateneo.errors import UnsupportedDriver
from ateneo.factories import sources as factory
from ateneo.ingestion.upload import File, place
from ateneo.search.options import NamedOptions, SearchOptions
from ateneo.settings import load
from ateneo.sources.service import SourceService
from ateneo.tenant_id import tenant_id
from ateneo.types import Answer, MarkedPage, SearchResult, StoredDocument, Tenant
from ateneo.types.jobs import Job
from ateneo.types.sources import OwnSource

__all__ = ["Ateneo", "AteneoSync", "open_sources"]

P = ParamSpec("P")
R = TypeVar("R")


class Ateneo:
    """A pool of connections, the models and what needs them, for one event loop:

        async with Ateneo.open(database_url="postgresql://...") as ateneo:
            found = await ateneo.search("acme", "¿quién aprueba los viáticos?", k=5)

    The caller says whose data a call is about: nothing else of the company `empresa_id` is ever seen. Safe for many
    tasks at once. `AteneoSync` is the same without `await`.
    """

    def __init__(self, container: Container) -> None:
        """On an open Container, which stays the caller's to close; `open` makes one of its own."""
        self._container = container

    @classmethod
    @asynccontextmanager
    async def open(
        cls, *, db: object = None, secrets_file: Path | None = None, **settings: object
    ) -> AsyncIterator[Self]:
        """Opens the database that the settings name, or that `db` is connected to: an AsyncEngine, a pool, an entry of
        Django's DATABASES (docs/how-to/drivers.md). What runs on asyncpg is used itself, and stays yours to close; of
        the rest the address is taken.

        The settings are those of the environment and the secrets file, except for what is given here by name, without
        the prefix and in small letters: `database_url`, `lang`, `pool_size`; docs/settings.md has them all.

        Raises SettingsError, DatabaseUrlMissing, DatabaseUnavailable, UnsupportedDriver, ModelError, ExtraMissing.
        """
        if db is not None and not drivers.lends(db):
            settings["database_url"], db = await drivers.address_of(db), None
        async with await Container.open(load(secrets_file, **settings), db=db) as container:
            yield cls(container)

    async def search(
        self,
        empresa_id: Tenant,
        query: str,
        k: int | None = None,
        *,
        options: SearchOptions | None = None,
        **named: Unpack[NamedOptions],
    ) -> SearchResult:
        """The best passages of the company, as SearchOptions say: given whole, or by their names, which win.

        Raises EmptyQuery, QueryTooLong, BadArgument, ProviderError, DatabaseError.
        """
        return await self._opened().search.search(empresa_id, query, k, options=options, **named)

    async def ingest(
        self,
        empresa_id: Tenant,
        file: File,
        *,
        name: str | None = None,
        document_id: object | None = None,
        external_id: str | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        replace: bool = False,
        force: bool = False,
    ) -> StoredDocument:
        """Reads a file, a path, bytes (with `name`) or an open binary file, and stores it as a searchable document.

        Which document it is: that of `document_id`, or of `external_id`, an id of yours; a new one without them, or,
        with `replace`, the new version of the only one of its name. `force` reads also bytes that it has already.

        Raises BadArgument, SeveralDocuments, DocumentError, ProviderError, DatabaseError.
        """
        return await self._opened().ingestion.process_document(
            file,
            empresa_id,
            name=name,
            document_id=document_id,
            external_id=external_id,
            title=title,
            metadata=metadata,
            replace=replace,
            force=force,
        )

    async def submit(
        self,
        empresa_id: Tenant,
        file: File,
        *,
        name: str | None = None,
        document_id: object | None = None,
        external_id: str | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        replace: bool = False,
        force: bool = False,
        bulk: bool = False,
    ) -> Job:
        """Stores a file as `ingest` takes it, for `ateneo worker` or `ateneo serve` to read; `bulk`: after what people
        wait for. The job says how far it is. Raises BadArgument, SeveralDocuments, TooManyJobs, DatabaseError."""
        return await self._opened().jobs.submit(
            file,
            empresa_id,
            name=name,
            document_id=document_id,
            external_id=external_id,
            title=title,
            metadata=metadata,
            replace=replace,
            force=force,
            bulk=bulk,
        )

    async def job(self, empresa_id: Tenant, job_id: str) -> Job:
        """Raises UnknownJob."""
        return await self._opened().jobs.get(empresa_id, job_id)

    async def jobs(
        self, empresa_id: Tenant, *, states: Sequence[str] | None = None, limit: int = 100, after: Job | None = None
    ) -> list[Job]:
        """A page of the company's jobs, the newest first; those after the last one of the page before."""
        last = None if after is None else after.job_id
        return await self._opened().jobs.listed(empresa_id, states=states, limit=limit, after=last)

    async def cancel_job(self, empresa_id: Tenant, job_id: str) -> Job:
        """One that is under way ends a moment later. Raises UnknownJob, JobEnded."""
        return await self._opened().jobs.cancel(empresa_id, job_id)

    async def retry_job(self, empresa_id: Tenant, job_id: str) -> Job:
        """Queues a failed one again. Raises UnknownJob, JobEnded."""
        return await self._opened().jobs.retry(empresa_id, job_id)

    async def original(self, empresa_id: Tenant, document_id: str) -> bytes:
        """A document's file as it was sent. Raises UnknownDocument, NoOriginal."""
        jobs = self._opened().jobs
        found = await jobs.original(empresa_id, document_id)
        return b"".join([part async for part in jobs.read(empresa_id, found)])

    async def ask(
        self, empresa_id: Tenant, question: str, *, agent_id: str = DEFAULT_AGENT, **chat: Unpack[ChatOptions]
    ) -> Answer:
        """The answer of one of the company's agents, with citations that were checked.

        Raises Unknown, EmptyQuery, QueryTooLong, BadArgument, ProviderError, DatabaseError.
        """
        return await self._opened().agent.chat(empresa_id, agent_id, question, **chat)

    def stream(
        self, empresa_id: Tenant, question: str, *, agent_id: str = DEFAULT_AGENT, **chat: Unpack[ChatOptions]
    ) -> AsyncGenerator[Event]:
        """As `ask`, while it is written: `ateneo.events`, of which the last is Done or Failed."""
        return self._opened().agent.stream(empresa_id, agent_id, question, **chat)

    async def documents(
        self, empresa_id: Tenant, *, limit: int = 100, after: StoredDocument | None = None
    ) -> list[StoredDocument]:
        """A page of the company's documents, by name; those after the last one of the page before."""
        last = None if after is None else place(after)
        return await self._opened().ingestion.list_documents(empresa_id, limit=limit, after=last)

    async def locate(
        self, file: File, quote: str, *, name: str | None = None, page: int | None = None
    ) -> tuple[MarkedPage, ...]:
        """Where a citation's `quote` stands in its PDF: pages with boxes to mark, in points from the lower left corner.

        () where that is not sure: it stands nowhere as it is, or in several places (of `page`, where that is given), or
        the file is no PDF. Raises BadArgument, DocumentError.
        """
        return await self._opened().ingestion.locate(file, quote, name=name, page=page)

    async def gaps(
        self,
        empresa_id: Tenant,
        *,
        days: int = 90,
        limit: int = 50,
        below: float = WEAK,
        near: float | None = None,
    ) -> Gaps:
        """What was asked in the last `days` and nobody could answer, the most frequent first: in conversations, and in
        searches where ATENEO_KEEP_QUERIES keeps them.

        `below`: the relevance under which a search's best passage does not answer it. `near`: questions whose vectors
        have this cosine are one; without it, those that differ in case, accents and marks alone.

        Raises BadArgument, ProviderError, DatabaseError.
        """
        opened = self._opened()
        return await gaps(
            opened.db,
            empresa_id,
            keep_queries=opened.settings.keep_queries,
            days=days,
            limit=limit,
            below=below,
            embedding=opened.embedding,
            near=near,
        )

    async def sources(self, empresa_id: Tenant) -> list[OwnSource]:
        """The product's tables that the company has rows of; to add one: `open_sources`."""
        return await own_sources(self._opened().db, tenant_id(empresa_id))

    async def delete_document(self, empresa_id: Tenant, document_id: str) -> None:
        """Deletes a document with its chunks and vectors. Raises UnknownDocument."""
        await self._opened().ingestion.delete_document(empresa_id, document_id)

    def _opened(self) -> Container:
        """The services, and in this context their language."""
        i18n.use(self._container.settings.lang)
        return self._container


def _blocking(
    method: Callable[Concatenate[Ateneo, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate["AteneoSync", P], R]:
    """The method for callers who wait for it in their thread."""

    def call(self: "AteneoSync", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._call(partial(method, self._ateneo, *args, **kwargs))

    return update_wrapper(call, method)


class AteneoSync:
    """Ateneo without `await`, on an event loop of its own in a thread:

        with AteneoSync.open(database_url="postgresql://...") as ateneo:
            found = ateneo.search("acme", "¿quién aprueba los viáticos?", k=5)

    Safe for many threads at once. In a coroutine it works, too, but holds up everything else of that loop: use Ateneo.
    """

    def __init__(self, ateneo: Ateneo, portal: BlockingPortal) -> None:
        """`portal`: into the event loop that `ateneo` was opened in."""
        self._ateneo = ateneo
        self._portal = portal

    @classmethod
    @contextmanager
    def open(cls, *, db: object = None, secrets_file: Path | None = None, **settings: object) -> Iterator[Self]:
        """As `Ateneo.open`; `db` without `async`: an Engine, a pool of psycopg, an entry of Django's DATABASES."""
        if db is not None and drivers.of_a_loop(db):
            raise UnsupportedDriver(given=f"AteneoSync, {type(db).__name__}")
        opening = Ateneo.open(db=db, secrets_file=secrets_file, **settings)
        with start_blocking_portal(name="ateneo") as portal, portal.wrap_async_context_manager(opening) as ateneo:
            yield cls(ateneo, portal)

    search = _blocking(Ateneo.search)
    ingest = _blocking(Ateneo.ingest)
    submit = _blocking(Ateneo.submit)
    job = _blocking(Ateneo.job)
    jobs = _blocking(Ateneo.jobs)
    cancel_job = _blocking(Ateneo.cancel_job)
    retry_job = _blocking(Ateneo.retry_job)
    original = _blocking(Ateneo.original)
    ask = _blocking(Ateneo.ask)
    documents = _blocking(Ateneo.documents)
    locate = _blocking(Ateneo.locate)
    gaps = _blocking(Ateneo.gaps)
    sources = _blocking(Ateneo.sources)
    delete_document = _blocking(Ateneo.delete_document)

    def stream(
        self, empresa_id: Tenant, question: str, *, agent_id: str = DEFAULT_AGENT, **chat: Unpack[ChatOptions]
    ) -> Iterator[Event]:
        """As `Ateneo.stream`; whoever stops reading it early ends the answer."""
        written: SimpleQueue[Event | None] = SimpleQueue()

        async def write() -> None:
            try:
                async with aclosing(self._ateneo.stream(empresa_id, question, agent_id=agent_id, **chat)) as events:
                    async for event in events:
                        written.put(event)
            finally:
                written.put(None)

        self._ateneo._opened()
        writing = self._portal.start_task_soon(write)
        try:
            while (event := written.get()) is not None:
                yield event
            writing.result()
        finally:
            writing.cancel()

    def _call(self, work: Callable[[], Coroutine[Any, Any, R]]) -> R:
        self._ateneo._opened()  # errors are read in the caller's thread
        result: R = self._portal.call(work)
        return result


@asynccontextmanager
async def open_sources(*, secrets_file: Path | None = None, **settings: object) -> AsyncIterator[SourceService]:
    """Tables of your product as sources, what `ateneo sources` does; settings as in `Ateneo.open`:

        async with ateneo.open_sources() as sources:
            await sources.add(await sources.draft("app.kb_chunks", url="https://app.example/kb/{id}"))
            await sources.sync("kb_chunks")

    It crosses companies and acts as the database's login: for whoever operates it, not for requests of users.
    """
    chosen = load(secrets_file, **settings)
    i18n.use(chosen.lang)
    async with factory.open_sources(chosen) as sources:
        yield sources
