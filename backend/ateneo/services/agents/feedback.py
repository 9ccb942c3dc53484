"""What people thought of answers, as files that `ateneo eval` reads.

A question file needs its documents beside it: they are written from their chunks, all of the company's, so that the
questions are asked among everything that could distract.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ateneo.store import conversations, documents
from ateneo.store.conversations import RatedTurn
from ateneo.store.pool import Database

QUESTIONS, REJECTED = "questions.jsonl", "rejected.jsonl"
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Export:
    """How many questions, rejected answers, and documents were written."""

    questions: int
    rejected: int
    documents: int


async def export(db: Database, empresa_id: str, folder: Path) -> Export:
    """Writes into `folder`: questions.jsonl (each citation of an answer that was liked: its question, document and
    passage), rejected.jsonl (the answers that were not, with their comments), and the company's documents.

    Raises DatabaseError, OSError.
    """
    rated = await conversations.rated(db, empresa_id)
    texts = await documents.texts(db, empresa_id)
    place = folder / _safe(empresa_id)
    place.mkdir(parents=True, exist_ok=True)
    names = {document_id: f"{_safe(document_id)}.md" for document_id in texts}
    for document_id, text in texts.items():
        (place / names[document_id]).write_text(text, encoding="utf-8")
    liked = [row for one in rated if one.turn.rating == 1 for row in _questions(one, place.name, names)]
    rejected = [_rejected(one) for one in rated if one.turn.rating == -1]
    _write(folder / QUESTIONS, liked)
    _write(folder / REJECTED, rejected)
    return Export(len(liked), len(rejected), len(texts))


def _questions(one: RatedTurn, empresa: str, names: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A row for each citation: the question as it was searched, and the passage that answered."""
    query = one.turn.queries[0] if one.turn.queries else one.turn.question
    for number, citation in enumerate(one.turn.citations):
        if citation.document_id in names:
            yield {
                "id": f"{one.conversation_id}/{one.turn.position}/{number}",
                "empresa_id": empresa,
                "question": query,
                "document": names[citation.document_id],
                "passage": citation.quote,
                "kind": one.agent_id,
                "source": one.sources.get(citation.document_id, ""),
                "comment": one.turn.comment or "",
            }


def _rejected(one: RatedTurn) -> dict[str, Any]:
    return {
        "id": f"{one.conversation_id}/{one.turn.position}",
        "agent_id": one.agent_id,
        "question": one.turn.question,
        "queries": one.turn.queries,
        "answer": one.turn.answer,
        "passages": one.turn.passages,
        "comment": one.turn.comment or "",
        "model": one.turn.model,
    }


def _safe(name: str) -> str:
    return _UNSAFE.sub("-", name).strip(".-") or "x"


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
