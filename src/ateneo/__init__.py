"""Ateneo: semantic search and cited answers for multi-tenant products on PostgreSQL.

    async with ateneo.Ateneo.open(database_url="postgresql://...") as client:
        await client.ingest("acme", "manual.pdf", external_id="manual")
        found = await client.search("acme", "¿quién aprueba los viáticos?", k=5)
        answer = await client.ask("acme", "¿quién aprueba los viáticos?")

`AteneoSync` is the same without `await`. What `__all__` names is public, and so are `ateneo.errors` (every error),
`ateneo.events` (what `stream` gives) and `ateneo.integrations`; `ateneo.guide`, whose four services take a connection
or pool of the caller's, too. All other modules and names are private: they change without notice.

A name is imported when it is first asked for, so that `import ateneo` costs nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ateneo import errors
    from ateneo.agents import events
    from ateneo.agents.gaps import Gap, Gaps
    from ateneo.agents.service import ChatOptions
    from ateneo.client import Ateneo, AteneoSync, open_sources
    from ateneo.errors import AteneoError
    from ateneo.guide import AgentService, EmbeddingService, IngestionService, VectorSearchService
    from ateneo.search.options import SearchOptions
    from ateneo.sources.service import SourceService
    from ateneo.types import (
        Answer,
        Citation,
        DocumentHits,
        Hit,
        MarkedPage,
        Passage,
        SearchResult,
        StoredDocument,
        Turn,
    )
    from ateneo.types.jobs import Job

    __version__: str

__all__ = [
    "AgentService",
    "Answer",
    "Ateneo",
    "AteneoError",
    "AteneoSync",
    "ChatOptions",
    "Citation",
    "DocumentHits",
    "EmbeddingService",
    "Gap",
    "Gaps",
    "Hit",
    "IngestionService",
    "Job",
    "MarkedPage",
    "Passage",
    "SearchOptions",
    "SearchResult",
    "SourceService",
    "StoredDocument",
    "Turn",
    "VectorSearchService",
    "__version__",
    "errors",
    "events",
    "open_sources",
]

_SUBMODULES = {"errors": "ateneo.errors", "events": "ateneo.agents.events"}
_MODULES = {
    "ateneo.agents.gaps": ("Gap", "Gaps"),
    "ateneo.agents.service": ("ChatOptions",),
    "ateneo.client": ("Ateneo", "AteneoSync", "open_sources"),
    "ateneo.errors": ("AteneoError",),
    "ateneo.guide": ("AgentService", "EmbeddingService", "IngestionService", "VectorSearchService"),
    "ateneo.search.options": ("SearchOptions",),
    "ateneo.sources.service": ("SourceService",),
    "ateneo.types": (
        "Answer",
        "Citation",
        "DocumentHits",
        "Hit",
        "MarkedPage",
        "Passage",
        "SearchResult",
        "StoredDocument",
        "Turn",
    ),
    "ateneo.types.jobs": ("Job",),
}


if not TYPE_CHECKING:  # where it is known, a name that does not exist is an error for type checkers

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version("ateneo")
        from importlib import import_module

        if name in _SUBMODULES:
            return import_module(_SUBMODULES[name])
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(module), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
