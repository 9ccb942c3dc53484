"""Everything that an interface needs, built from the settings once a process, and closed at its end."""

from dataclasses import dataclass
from typing import Self

from ateneo import i18n
from ateneo.access.audit import AuditLog
from ateneo.access.service import AccessService
from ateneo.agents.service import AgentService
from ateneo.db.pool import Database
from ateneo.embedding.current_model import Models
from ateneo.embedding.service import EmbeddingService
from ateneo.factories.access import make_access_service
from ateneo.factories.chat_models import agent_options, make_chat_model
from ateneo.factories.databases import open_database
from ateneo.factories.embedders import make_models
from ateneo.factories.ingestion import ingestion_options, make_jobs
from ateneo.factories.rerankers import make_reranking, make_rewriting, search_options
from ateneo.ingestion.jobs import JobService
from ateneo.ingestion.service import IngestionService
from ateneo.ports import ChatModel
from ateneo.search.query_log import QueryLog
from ateneo.search.service import VectorSearchService
from ateneo.settings import Settings, load


@dataclass(slots=True)
class Container:
    """Everything that an interface needs, built once a process and closed at its end."""

    settings: Settings
    db: Database
    models: Models
    search: VectorSearchService
    ingestion: IngestionService
    jobs: JobService
    agent: AgentService
    chat: ChatModel
    access: AccessService
    audit_log: AuditLog
    queries: QueryLog

    @property
    def embedding(self) -> EmbeddingService:
        """The settings' own model; searches may be of another one's (`models`)."""
        return self.models.main

    @classmethod
    async def open(cls, settings: Settings | None = None, *, db: object = None) -> Self:
        """`db`: what the caller has instead of the settings' database."""
        settings = settings or load()
        i18n.use(settings.lang)
        known = make_models(settings)
        chat = make_chat_model(settings, known)
        reranker, rewriter = make_reranking(settings), make_rewriting(settings)
        opened = await open_database(settings, guarded=True) if db is None else Database.wrap(db)
        search = VectorSearchService(opened, known, reranking=reranker, rewriting=rewriter, **search_options(settings))
        ingestion = IngestionService(opened, known, **ingestion_options(settings))
        return cls(
            settings=settings,
            db=opened,
            models=known,
            search=search,
            ingestion=ingestion,
            jobs=make_jobs(settings, ingestion),
            agent=AgentService(search, chat, **agent_options(settings)),
            chat=chat,
            access=make_access_service(settings, opened),
            audit_log=AuditLog(opened),
            queries=QueryLog(opened, settings.keep_queries),
        )

    async def close(self) -> None:
        await self.jobs.engine.close()
        await self.audit_log.close()
        await self.queries.close()
        await self.search.close()
        await self.agent.close()
        await self.models.close()
        await self.db.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
