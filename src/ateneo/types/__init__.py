"""The values that travel between packages, a file a subject. All frozen."""

from ateneo.types.access import ApiKey, Caller, Scope, Tenant
from ateneo.types.agents import Agent, Answer, AnswerState, Citation, Claim, Support, TextBlock, Turn
from ateneo.types.chat import ChatPart, ChatRequest, EndPart, QuotePart, SearchPart, SearchRound, TextPart
from ateneo.types.documents import Chunk, Document, Origin, Section, StoredDocument, StoredPassage
from ateneo.types.embedding import Embedded, EmbeddingResult, Generation, Kind, Limits, Matrix, Pending
from ateneo.types.marks import Box, MarkedPage
from ateneo.types.reading import NO_REPORT, ReadingReport, Skipped
from ateneo.types.search import DocumentHits, Fusion, Hit, Mode, Passage, SearchResult
from ateneo.types.usage import Spent, Usage

__all__ = [
    "NO_REPORT",
    "Agent",
    "Answer",
    "AnswerState",
    "ApiKey",
    "Box",
    "Caller",
    "ChatPart",
    "ChatRequest",
    "Chunk",
    "Citation",
    "Claim",
    "Document",
    "DocumentHits",
    "Embedded",
    "EmbeddingResult",
    "EndPart",
    "Fusion",
    "Generation",
    "Hit",
    "Kind",
    "Limits",
    "MarkedPage",
    "Matrix",
    "Mode",
    "Origin",
    "Passage",
    "Pending",
    "QuotePart",
    "ReadingReport",
    "Scope",
    "SearchPart",
    "SearchResult",
    "SearchRound",
    "Section",
    "Skipped",
    "Spent",
    "StoredDocument",
    "StoredPassage",
    "Support",
    "Tenant",
    "TextBlock",
    "TextPart",
    "Turn",
    "Usage",
]
