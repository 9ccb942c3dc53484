"""What people asked, and what they thought of answers, as files that `ateneo eval` reads.

A question file needs its documents beside it: they are written from their chunks, all of the company's, so that the
questions are asked among everything that could distract.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ateneo.agents.gaps import same_question
from ateneo.db import conversations, documents, query_log
from ateneo.db.conversations import RatedTurn
from ateneo.db.pool import Database
from ateneo.db.query_log import Asked
from ateneo.errors import DatasetInvalid, UnknownEmpresa
from ateneo.i18n import tr
from ateneo.tenant_id import tenant_id
from ateneo.text.filenames import file_name
from ateneo.types import Tenant

QUESTIONS, REJECTED = "questions.jsonl", "rejected.jsonl"
UNANSWERABLE, ASKED = "unanswerable.jsonl", "asked.jsonl"
_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Export:
    """How many questions, rejected answers, and documents were written; questions that rightly have no answer; and
    questions of which nobody has said what answers them."""

    questions: int
    rejected: int
    documents: int
    unanswerable: int
    asked: int


async def export(db: Database, empresa_id: Tenant, folder: Path) -> Export:
    """Writes into `folder`: questions.jsonl (each citation of an answer that was liked: its question, document and
    passage), unanswerable.jsonl (questions whose “I do not know” was liked), rejected.jsonl (the answers that were not
    liked, with their comments), asked.jsonl (what else was asked, in conversations and kept searches), and the
    company's documents. A folder holds the exports of several companies.

    Raises UnknownEmpresa, DatabaseError, DatasetInvalid, OSError.
    """
    empresa_id = tenant_id(empresa_id)
    rated = await conversations.rated(db, empresa_id)
    asked = await query_log.asked(db, empresa_id, _DAYS)
    texts = await documents.texts(db, empresa_id)
    if not (rated or texts or asked):
        raise UnknownEmpresa(empresa_id=empresa_id)
    place = folder / file_name(empresa_id)
    place.mkdir(parents=True, exist_ok=True)
    names = {document_id: f"{file_name(document_id)}.md" for document_id in texts}
    for document_id, text in texts.items():
        (place / names[document_id]).write_text(text, encoding="utf-8")
    liked = [row for one in rated if one.turn.rating == 1 for row in _questions(one, place.name, names)]
    unanswerable = [_unanswerable(one, place.name) for one in rated if one.turn.rating == 1 and _unknown(one)]
    rejected = [_rejected(one, place.name) for one in rated if one.turn.rating == -1]
    known = {same_question(row["question"]) for row in (*liked, *unanswerable)}
    others = [_asked(group, place.name) for key, group in _alike(asked).items() if key not in known]
    for name, rows in ((QUESTIONS, liked), (UNANSWERABLE, unanswerable), (REJECTED, rejected), (ASKED, others)):
        _write(folder / name, place.name, rows)
    return Export(len(liked), len(rejected), len(texts), len(unanswerable), len(others))


def _unknown(one: RatedTurn) -> bool:
    return one.turn.state == "unknown"


def _alike(asked: list[Asked]) -> dict[tuple[str, ...], list[Asked]]:
    """The last asked first."""
    groups: dict[tuple[str, ...], list[Asked]] = {}
    for one in asked:
        if key := same_question(one.text):
            groups.setdefault(key, []).append(one)
    return groups


def _asked(group: list[Asked], empresa: str) -> dict[str, Any]:
    return {
        "empresa_id": empresa,
        "question": group[0].text,
        "times": sum(one.times for one in group),
        "last_asked": group[0].at.isoformat(timespec="seconds"),
    }


def _unanswerable(one: RatedTurn, empresa: str) -> dict[str, Any]:
    return {"id": f"{one.conversation_id}/{one.turn.position}", "empresa_id": empresa, "question": _query(one)}


def _query(one: RatedTurn) -> str:
    """The question as it was searched."""
    return one.turn.queries[0] if one.turn.queries else one.turn.question


def _questions(one: RatedTurn, empresa: str, names: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A row for each citation: the question as it was searched, and the passage that answered."""
    for number, citation in enumerate(one.turn.citations):
        if citation.document_id in names:
            yield {
                "id": f"{one.conversation_id}/{one.turn.position}/{number}",
                "empresa_id": empresa,
                "question": _query(one),
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
