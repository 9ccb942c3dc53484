"""Datasets into a scratch database by the way that a user's texts go, and the questions with what answers each."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path

from ateneo.db import scratch, statistics
from ateneo.db.pool import Database
from ateneo.db.scratch import Passage, StoredText
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.batch import Totals
from ateneo.errors import DocumentError
from ateneo.evaluation.datasets import BeirFolder, Dataset, Question, QuestionSet, corpus_passages
from ateneo.ingestion.service import IngestionService

ANSWER = "answer"
"""Stands in a ranking for every chunk that holds the whole answer: to have found one of them is to have found it."""

_AT_ONCE = 1000
_HALF = 0.5

OnProgress = Callable[[int, int], None]
"""Is told (done, of how many)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A question to search for as `empresa_id`, and the grades of the ids that a ranking of it is made of.

    The ids are chunk ids, but for `answers`: those chunks all count as the one id ANSWER.
    """

    id: str
    text: str
    empresa_id: str
    grades: Mapping[str, int]
    kind: str = ""
    answers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A dataset in the database. `lost` are ids of questions whose passage is in no chunk of its document: search
    cannot find it, and they count as not found. `unreadable` files and `unembedded` passages come with a reason."""

    name: str
    questions: tuple[Judged, ...]
    chunks: int
    lost: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    unembedded: tuple[str, ...] = ()
    companies: Mapping[str, str] = field(default_factory=dict)
    """Of a question file: each company's own name -> the one that it has in the database."""


class Loader:
    """`backfill` None leaves the passages of BEIR folders without embeddings, which search by words does not need."""

    def __init__(
        self, db: Database, ingestion: IngestionService, backfill: Backfill | None, *, titles: bool = False
    ) -> None:
        """`titles`: the title of a BEIR passage goes before its text."""
        self._db = db
        self._ingestion = ingestion
        self._backfill = backfill
        self._titles = titles
        self._tenants = 0

    async def load(self, dataset: Dataset, on_progress: OnProgress) -> Loaded:
        """Each dataset becomes companies of its own. Raises DatasetInvalid, ProviderError, DatabaseError."""
        self._tenants += 1
        if isinstance(dataset, BeirFolder):
            return await self._beir(dataset, f"eval-{self._tenants}", on_progress)
        return await self._question_set(dataset, f"eval-{self._tenants}", on_progress)

    async def _beir(self, dataset: BeirFolder, empresa_id: str, on_progress: OnProgress) -> Loaded:
        passages = corpus_passages(dataset.corpus, titles=self._titles)
        while batch := [Passage(*one) for one in islice(passages, _AT_ONCE)]:
            await scratch.insert_passages(self._db, empresa_id, batch)
        unembedded = await self._embed(empresa_id, dataset.passages, on_progress)
        await statistics.refresh_moved(self._db, [empresa_id])
        questions = tuple(Judged(one.id, one.text, empresa_id, one.grades) for one in dataset.queries)
        return Loaded(dataset.name, questions, dataset.passages, unembedded=unembedded)

    async def _embed(self, empresa_id: str, total: int, on_progress: OnProgress) -> tuple[str, ...]:
        if self._backfill is None:
            return ()

        def on_page(now: Totals) -> None:
            on_progress(now.processed + now.failed, total)

        done = await self._backfill.run(empresa_id, on_progress=on_page)
        if done.stopped is not None:
            raise done.stopped
        return tuple(f"{one.chunk_id}: {one.reason}" for one in done.failed)

    async def _question_set(self, dataset: QuestionSet, prefix: str, on_progress: OnProgress) -> Loaded:
        files = files_of(dataset)
        documents: dict[tuple[str, str], str] = {}
        unreadable: list[str] = []
        for number, (empresa_id, name) in enumerate(files, 1):
            try:
                stored = await self._ingestion.process_document(
                    dataset.folder / empresa_id / name, f"{prefix}-{empresa_id}", name=name
                )
                documents[empresa_id, name] = stored.document_id
            except DocumentError as error:
                unreadable.append(error.message)
            on_progress(number, len(files))
        texts: dict[str, list[StoredText]] = {}
        for empresa_id in sorted({one for one, _ in files}):
            texts[empresa_id] = await scratch.stored_texts(self._db, f"{prefix}-{empresa_id}")
        await statistics.refresh_moved(self._db, [f"{prefix}-{one}" for one in texts])
        questions = tuple(
            _judged(one, f"{prefix}-{one.empresa_id}", texts[one.empresa_id], documents) for one in dataset.questions
        )
        lost = tuple(one.id for one in questions if not one.answers)
        return Loaded(
            dataset.name,
            questions,
            sum(map(len, texts.values())),
            lost,
            tuple(unreadable),
            companies={one: f"{prefix}-{one}" for one in texts},
        )


def files_of(dataset: QuestionSet) -> list[tuple[str, str]]:
    """(empresa_id, name) of every visible file in the folders that hold a document which a question names."""
    folders = {(one.empresa_id, Path(one.document).parent) for one in dataset.questions}
    return sorted(
        (empresa_id, (folder / path.name).as_posix())
        for empresa_id, folder in folders
        for path in (dataset.folder / empresa_id / folder).iterdir()
        if path.is_file() and not path.name.startswith(".")
    )


def _judged(
    question: Question, tenant: str, texts: list[StoredText], documents: Mapping[tuple[str, str], str]
) -> Judged:
    document_id = documents.get((question.empresa_id, question.document))
    own = [text for text in texts if document_id is not None and text.document_id == document_id]
    answers = answering(question.passage, own)
    return Judged(question.id, question.text, tenant, {ANSWER: 1}, question.kind, answers)


def answering(passage: str, texts: list[StoredText]) -> frozenset[str]:
    """The ids of the chunks that hold the passage, compared word by word: case, marks and white space do not count.

    Where none holds it as it is (it was cut in two, or is the row of a table whose headings the parser repeats), the
    chunks with most of its words in its order, more than half of them. Empty: none.
    """
    wanted = _words(passage)
    found = {one.chunk_id: _words(one.contenido) for one in texts}
    whole = {one for one, words in found.items() if f" {' '.join(wanted)} " in f" {' '.join(words)} "}
    if whole or not wanted:
        return frozenset(whole)
    shares = {one: _share_in_order(wanted, words) for one, words in found.items()}
    most = max(shares.values(), default=0.0)
    return frozenset(one for one, share in shares.items() if share == most and share > _HALF)


def _share_in_order(wanted: list[str], words: list[str]) -> float:
    blocks = SequenceMatcher(None, wanted, words, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(wanted)


def _words(text: str) -> list[str]:
    # `_` is a mark of Markdown here, not a letter
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold())
