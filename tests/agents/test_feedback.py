"""Exports of what people thought: several companies' and documents' side by side, whatever their ids look like."""

import json
from pathlib import Path

import pytest

from ateneo.agents.feedback import ASKED, QUESTIONS, REJECTED, UNANSWERABLE, export
from ateneo.db import conversations, query_log
from ateneo.db.documents import NewDocument, save
from ateneo.db.identity import Identity
from ateneo.db.pool import Database
from ateneo.db.query_log import KeptQuery
from ateneo.errors import DatasetInvalid, UnknownEmpresa
from ateneo.evaluation.datasets import QuestionSet, open_questions, read_dataset, read_unanswerable
from ateneo.types import Answer, Chunk, Citation

COMPANIES = ("a/b", "a-b", "A-B", "a.b", "..")
DOCUMENTS = ("x/y", "x-y", "X-Y")


async def rated(db: Database, company: str) -> None:
    """The company's documents, a liked question to each of them, and one answer that was not liked."""
    for document_id in DOCUMENTS:
        text = f"El código de {company} en {document_id} es secreto."
        who = Identity(document_id)
        new = NewDocument("T", f"{document_id}.md", "text/plain", document_id.encode(), 1, identity=who)
        await save(db, company, new, [Chunk(0, text, 9)], None, None)
        said = Answer(f"{text} [1]", (Citation("c", "l", text, document_id),), "p", "m", False)
        for rating in (1, -1):
            talk = await conversations.begin(db, company, "a/b", "¿Cuál es el código?")
            await conversations.add(db, company, talk, f"¿Cuál es el código de {document_id}?", said)
            await conversations.rate(db, company, talk, 0, rating, None)


async def test_companies_and_documents_do_not_overwrite_each_other(database: Database, tmp_path: Path) -> None:
    for company in COMPANIES:
        await rated(database, company)
    for company in (*COMPANIES, COMPANIES[0]):  # one of them again
        await export(database, company, tmp_path)
    dataset = read_dataset(tmp_path)
    assert isinstance(dataset, QuestionSet)
    assert len(dataset.questions) == len(COMPANIES) * len(DOCUMENTS)
    texts = set()
    for question in dataset.questions:
        text = (tmp_path / question.empresa_id / question.document).read_text(encoding="utf-8")
        assert question.passage in text
        texts.add(text)
    assert len(texts) == len(COMPANIES) * len(DOCUMENTS)
    rejected = [json.loads(line) for line in (tmp_path / REJECTED).read_text(encoding="utf-8").splitlines()]
    assert len(rejected) == len(COMPANIES) * len(DOCUMENTS)
    assert all(path.is_relative_to(tmp_path) for path in tmp_path.rglob("*"))


async def test_of_a_company_that_is_not_there_nothing_is_written(database: Database, tmp_path: Path) -> None:
    with pytest.raises(UnknownEmpresa):
        await export(database, "nadie", tmp_path / "new")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["no es JSON\n", "[1]\n"])
async def test_a_file_of_somebody_elses_is_left_alone(database: Database, tmp_path: Path, content: str) -> None:
    await rated(database, "acme")
    (tmp_path / QUESTIONS).write_text(content)
    with pytest.raises(DatasetInvalid, match="questions"):
        await export(database, "acme", tmp_path)
    assert (tmp_path / QUESTIONS).read_text() == content


async def test_what_else_was_asked_is_a_question_set_too(database: Database, tmp_path: Path) -> None:
    await rated(database, "acme")
    liked = "¿Cuál es el código de x/y?"
    kept = [KeptQuery("¿Y los VIÁTICOS?", 3), KeptQuery(liked.lower(), 2), KeptQuery("?!")]
    await query_log.keep(database, "acme", kept, 7)
    for question, rating in (("y los viaticos", None), ("¿Hay guardería?", 1), ("¿Hay comedor?", -1)):
        talk = await conversations.begin(database, "acme", "a/b", question)
        answer = Answer("No lo sé.", (), "p", "m", False, state="unknown")
        await conversations.add(database, "acme", talk, question, answer)
        await conversations.rate(database, "acme", talk, 0, rating, None)
    done = await export(database, "acme", tmp_path)
    asked = [json.loads(line) for line in (tmp_path / ASKED).read_text(encoding="utf-8").splitlines()]
    assert [(one["question"], one["times"]) for one in asked] == [("¿Hay comedor?", 1), ("y los viaticos", 4)]
    assert [one.text for one in open_questions(tmp_path / ASKED)] == ["¿Hay comedor?", "y los viaticos"]
    assert [text for _, _, text in read_unanswerable(tmp_path)] == ["¿Hay guardería?"]
    assert (done.unanswerable, done.asked) == (1, 2)
    assert (tmp_path / UNANSWERABLE).is_file()
