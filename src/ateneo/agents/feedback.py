"""What people thought of answers, as files that `ateneo eval` reads.

A question file needs its documents beside it: they are written from their chunks, all of the company's, so that the
questions are asked among everything that could distract.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ateneo.db import conversations, documents
from ateneo.db.conversations import RatedTurn
from ateneo.db.pool import Database
from ateneo.errors import DatasetInvalid, UnknownEmpresa
from ateneo.i18n import tr
from ateneo.tenant_id import tenant_id
from ateneo.text.filenames import file_name
from ateneo.types import Tenant

QUESTIONS, REJECTED = "questions.jsonl", "rejected.jsonl"


@dataclass(frozen=True, slots=True)
class Export:
    """How many questions, rejected answers, and documents were written."""

    questions: int
    rejected: int
    documents: int


async def export(db: Database, empresa_id: Tenant, folder: Path) -> Export:
    """Writes into `folder`: questions.jsonl (each citation of an answer that was liked: its question, document and
    passage), rejected.jsonl (the answers that were not, with their comments), and the company's documents. A folder
    holds the exports of several companies.

    Raises UnknownEmpresa, DatabaseError, DatasetInvalid, OSError.
    """
    empresa_id = tenant_id(empresa_id)
    rated = await conversations.rated(db, empresa_id)
    texts = await documents.texts(db, empresa_id)
    if not (rated or texts):
        raise UnknownEmpresa(empresa_id=empresa_id)
    place = folder / file_name(empresa_id)
    place.mkdir(parents=True, exist_ok=True)
    names = {document_id: f"{file_name(document_id)}.md" for document_id in texts}
    for document_id, text in texts.items():
        (place / names[document_id]).write_text(text, encoding="utf-8")
    liked = [row for one in rated if one.turn.rating == 1 for row in _questions(one, place.name, names)]
    rejected = [_rejected(one, place.name) for one in rated if one.turn.rating == -1]
    _write(folder / QUESTIONS, place.name, liked)
    _write(folder / REJECTED, place.name, rejected)
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


def _rejected(one: RatedTurn, empresa: str) -> dict[str, Any]:
    return {
        "id": f"{one.conversation_id}/{one.turn.position}",
        "empresa_id": empresa,
        "agent_id": one.agent_id,
        "question": one.turn.question,
        "queries": one.turn.queries,
        "answer": one.turn.answer,
        "passages": one.turn.passages,
        "comment": one.turn.comment or "",
        "model": one.turn.model,
    }


def _write(path: Path, empresa: str, rows: list[dict[str, Any]]) -> None:
    """The company's rows in the place of those of its last export; other companies' stay. Raises DatasetInvalid for a
    file that is no such export."""
    others = [row for row in _read(path) if row.get("empresa_id") != empresa]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in others + rows), encoding="utf-8")


def _read(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    try:
        rows = [json.loads(line) for line in lines]
    except ValueError as error:
        raise DatasetInvalid(where=path, detail=tr("no es JSON", "it is not JSON")) from error
    if not all(isinstance(row, dict) for row in rows):
        raise DatasetInvalid(where=path, detail=tr("una línea no es un objeto", "a line is not an object"))
    return rows
