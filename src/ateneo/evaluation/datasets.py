"""Questions whose answers are known, read from files: BEIR folders, and the user's own question files.

A BEIR folder has `corpus.jsonl` ({_id, title?, text}), `queries.jsonl` ({_id, text}) and `qrels.tsv` or
`qrels/test.tsv` (query-id, corpus-id, score). A question file is JSONL: {question, document, passage, empresa_id, id?,
kind?}; `document` is a path below the folder `empresa_id` beside the file, `passage` the text in it that answers.
Beside it `unanswerable*.jsonl` may hold questions that no document answers: {question, empresa_id, id?}.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ateneo.errors import DatasetInvalid
from ateneo.i18n import tr
from ateneo.text.clean import clean
from ateneo.validation_messages import unreadable


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query of a BEIR folder and the grades of the passages judged for it; at least one is above 0."""

    id: str
    text: str
    grades: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BeirFolder:
    """`unjudged` queries have no relevant passage, so that there is nothing to measure with them; they are left out."""

    name: str
    corpus: Path
    passages: int
    queries: tuple[JudgedQuery, ...]
    unjudged: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a question file, and the text that answers it. `kind` is the user's own grouping, or empty."""

    id: str
    text: str
    empresa_id: str
    document: str
    passage: str
    kind: str


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question to a company whose documents are in the database already. `passage`: the text that answers it, empty
    where nobody has said."""

    text: str
    empresa_id: str
    passage: str


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """`folder` holds a folder of documents for each company."""

    name: str
    folder: Path
    questions: tuple[Question, ...]


Dataset: TypeAlias = BeirFolder | QuestionSet


def read_dataset(path: Path, limit: int | None = None) -> Dataset:
    """The dataset at `path`, a folder or a question file, with its first `limit` questions; all of it is checked.

    Raises DatasetInvalid, which names the file and the line.
    """
    if path.is_file():
        return _question_set(path.stem, path.parent, [path], limit)
    if not path.is_dir():
        raise _invalid(path, tr("no existe", "it does not exist"))
    if (path / "corpus.jsonl").exists():
        return _beir(path, limit)
    files = sorted(path.glob("questions*.jsonl"))
    if not files:
        rule = tr("no tiene corpus.jsonl ni questions*.jsonl", "it has neither corpus.jsonl nor questions*.jsonl")
        raise _invalid(path, rule)
    return _question_set(path.resolve().name, path, files, limit)


def read_unanswerable(folder: Path, limit: int | None = None) -> tuple[tuple[str, str, str], ...]:
    """(id, empresa_id, question) of the first `limit` in the folder's `unanswerable*.jsonl`. Raises DatasetInvalid."""
    found = [
        (_own_id(where, row), _full_text(where, row, "empresa_id"), _full_text(where, row, "question"))
        for path in sorted(folder.glob("unanswerable*.jsonl"))
        for where, row in _rows(path)
    ]
    return tuple(found[:limit])


def open_questions(path: Path, limit: int | None = None) -> list[OpenQuestion]:
    """The questions of a question file, `passage` optional, `document` not looked at. Raises DatasetInvalid."""
    found = [
        OpenQuestion(
            text=_full_text(where, row, "question"),
            empresa_id=_full_text(where, row, "empresa_id"),
            passage=_text(where, row, "passage") if row.get("passage") else "",
        )
        for where, row in _rows(path)
    ]
    if not found:
        raise _invalid(path, tr("no tiene preguntas", "it has no questions"))
    return found[:limit]


def corpus_passages(corpus: Path, *, titles: bool = False) -> Iterator[tuple[str, str]]:
    """Each passage's id and text, one at a time; with `titles` the title before the text. Raises DatasetInvalid."""
    for where, row in _rows(corpus):
        title = _text(where, row, "title") if titles and row.get("title") else ""
        yield _id(where, row), clean(f"{title} {_text(where, row, 'text')}".strip())


# --- BEIR ---------------------------------------------------------------------------------------------------------


def _beir(folder: Path, limit: int | None) -> BeirFolder:
    corpus, queries = folder / "corpus.jsonl", folder / "queries.jsonl"
    passages = {_checked_passage(where, one, row) for where, one, row in _distinct(corpus)}
    texts = {one: _full_text(where, row, "text") for where, one, row in _distinct(queries)}
    grades = _qrels(_qrels_file(folder), set(texts), passages)
    judged = [
        JudgedQuery(one, text, grades[one])
        for one, text in texts.items()
        if any(grade > 0 for grade in grades.get(one, {}).values())
    ]
    if not judged:
        raise _invalid(
            _qrels_file(folder), tr("ninguna pregunta tiene un pasaje relevante", "no query has a relevant passage")
        )
    name = folder.resolve().name
    return BeirFolder(name, corpus, len(passages), tuple(judged[:limit]), len(texts) - len(judged))


def _checked_passage(where: str, one: str, row: dict[str, Any]) -> str:
    _text(where, row, "text")
    return one


def _distinct(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each line's place, its _id, and its object."""
    seen: set[str] = set()
    for where, row in _rows(path):
        one = _id(where, row)
        if one in seen:
            raise _invalid(where, tr(f"el _id «{one}» está dos veces", f"the _id “{one}” is there twice"))
        seen.add(one)
        yield where, one, row


def _qrels_file(folder: Path) -> Path:
    flat, split = folder / "qrels.tsv", folder / "qrels" / "test.tsv"
    if flat.exists() or split.exists():
        return flat if flat.exists() else split
    raise _invalid(folder, tr("falta qrels.tsv o qrels/test.tsv", "qrels.tsv or qrels/test.tsv is missing"))


def _qrels(path: Path, queries: set[str], passages: set[str]) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        where = f"{path}:{number}"
        fields = line.split("\t")
        if number == 1 and not _is_grade(fields[-1]):
            continue
        if len(fields) != 3 or not _is_grade(fields[2]):
            rule = tr("esperaba query-id, corpus-id y un entero", "expected query-id, corpus-id and an integer")
            raise _invalid(where, rule + tr(", separados por tabulador", ", separated by tabs"))
        query, passage, grade = fields
        if query not in queries:
            raise _invalid(where, tr(f"no hay pregunta «{query}»", f"there is no query “{query}”"))
        if passage not in passages:
            raise _invalid(where, tr(f"no hay pasaje «{passage}»", f"there is no passage “{passage}”"))
        grades.setdefault(query, {})[passage] = int(grade)
    return grades


def _is_grade(field: str) -> bool:
    return field.strip().removeprefix("-").isdecimal()


# --- question files -----------------------------------------------------------------------------------------------


def _question_set(name: str, folder: Path, files: list[Path], limit: int | None) -> QuestionSet:
    questions: list[Question] = []
    seen: set[str] = set()
    for path in files:
        for where, row in _rows(path):
            question = _question(where, row, folder)
            if question.id in seen:
                raise _invalid(
                    where, tr(f"el id «{question.id}» está dos veces", f"the id “{question.id}” is there twice")
                )
            seen.add(question.id)
            questions.append(question)
    if not questions:
        raise _invalid(files[0], tr("no tiene preguntas", "it has no questions"))
    return QuestionSet(name, folder, tuple(questions[:limit]))


def _question(where: str, row: dict[str, Any], folder: Path) -> Question:
    empresa_id, document = _full_text(where, row, "empresa_id"), _full_text(where, row, "document")
    root = (folder / empresa_id).resolve()
    path = (root / document).resolve()
    if not path.is_file() or not path.is_relative_to(root):
        rule = tr(f"no existe el documento {empresa_id}/{document}", f"there is no document {empresa_id}/{document}")
        raise _invalid(where, rule)
    return Question(
        id=_own_id(where, row),
        text=_full_text(where, row, "question"),
        empresa_id=empresa_id,
        document=path.relative_to(root).as_posix(),
        passage=_full_text(where, row, "passage"),
        kind=_text(where, row, "kind") if "kind" in row else "",
    )


# --- lines --------------------------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with something in them, and their numbers from 1."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except OSError as error:
        raise _invalid(path, unreadable(error)) from error
    except UnicodeDecodeError as error:
        raise _invalid(path, tr("no está en UTF-8", "it is not UTF-8")) from error


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line's JSON object and its place, `file:line`."""
    for number, line in _lines(path):
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise _invalid(
                where, tr(f"no es JSON (columna {error.colno})", f"it is not JSON (column {error.colno})")
            ) from error
        if not isinstance(row, dict):
            raise _invalid(where, tr("no es un objeto JSON", "it is not a JSON object"))
        yield where, row


def _id(where: str, row: dict[str, Any], key: str = "_id") -> str:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise _invalid(where, tr(f"falta «{key}»", f"“{key}” is missing"))
    return clean(str(value))


def _own_id(where: str, row: dict[str, Any]) -> str:
    return _id(where, row, "id") if "id" in row else where.rsplit("/", 1)[-1]


def _text(where: str, row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise _invalid(where, tr(f"«{key}» falta o no es un texto", f"“{key}” is missing or not a text"))
    return value


def _full_text(where: str, row: dict[str, Any], key: str) -> str:
    value = clean(_text(where, row, key)).strip()
    if not value:
        raise _invalid(where, tr(f"«{key}» está vacío", f"“{key}” is empty"))
    return value


def _invalid(where: Path | str, detail: str) -> DatasetInvalid:
    return DatasetInvalid(where=where, detail=detail)
