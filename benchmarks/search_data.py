"""The database that benchmarks/search.py asks: companies of several sizes, Spanish passages made of the words of
examples/, unit vectors in the same clusters, and questions with one passage each to find."""

import asyncio
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ateneo.db import generations
from ateneo.db.pool import Database, packed_vectors
from ateneo.indexing import maintenance
from ateneo.types import Embedded, Kind, Matrix
from benchmarks import stage

MEASURED = (100, 2_000, 20_000)
_OTHERS = 4_000
_CLUSTERS, _FACTORS, _TOPIC_WORDS = 300, 24, 40
_WORDS, _TOPIC_SHARE = 90, 0.25
_STRANGE = 0.8
_WRITERS = 2


@dataclass(frozen=True, slots=True)
class Question:
    """`wanted`: the passage that it was made from; `nearest`: the ten nearest, by an exact comparison."""

    text: str
    vector: Matrix
    wanted: str
    nearest: frozenset[str]


@dataclass(frozen=True, slots=True)
class Company:
    """Rows `rows` of the vectors."""

    empresa_id: str
    rows: range


class KnownQueries(stage.RandomEmbedder):
    """The questions' vectors, ready made."""

    def __init__(self, questions: Sequence[Question]) -> None:
        super().__init__()
        self._known = {question.text: question.vector for question in questions}

    async def embed(self, texts: Sequence[str], kind: Kind = "passage") -> Embedded:
        return Embedded(vectors=np.stack([self._known[text] for text in texts]), tokens=len(texts))


class Corpus:
    """`chunks` passages in companies of MEASURED sizes and, for the rest, of 4,000."""

    def __init__(self, chunks: int) -> None:
        random = np.random.default_rng(5)
        weights = 1 / np.arange(1, _CLUSTERS + 1)
        self._clusters = random.choice(_CLUSTERS, chunks, p=weights / weights.sum())
        latent = random.standard_normal((_CLUSTERS, _FACTORS), dtype=np.float32)[self._clusters]
        latent += 0.5 * random.standard_normal(latent.shape, dtype=np.float32)
        self.vectors = latent @ random.standard_normal((_FACTORS, stage.DIMS), dtype=np.float32)
        self.vectors += 0.5 * random.standard_normal(self.vectors.shape, dtype=np.float32)
        self.vectors /= np.linalg.norm(self.vectors, axis=1, keepdims=True)
        counted = _words_of_the_examples()
        self._words = list(counted)
        counts = np.array(list(counted.values()), dtype=np.float64)
        self._shares = counts / counts.sum()
        rare = np.flatnonzero(counts < np.quantile(counts, 0.98))
        self._topics = random.choice(rare, (_CLUSTERS, _TOPIC_WORDS))
        self.companies = tuple(_companies(chunks))

    def passages(self, rows: range) -> list[str]:
        """The same texts for the same rows, whatever they are asked together with."""
        random = np.random.default_rng(rows.start)
        words = random.choice(len(self._words), (len(rows), _WORDS), p=self._shares)
        topical = self._topics[
            self._clusters[rows.start : rows.stop, None], random.integers(_TOPIC_WORDS, size=words.shape)
        ]
        words = np.where(random.random(words.shape) < _TOPIC_SHARE, topical, words)
        return [" ".join(self._words[word] for word in row) + "." for row in words]

    def questions(self, company: Company, count: int) -> list[Question]:
        """Five neighbouring words of a passage and one of another; a vector between its own and that of a stranger."""
        random = np.random.default_rng(company.rows.start + 1)
        passages = self.passages(company.rows)
        picked = random.choice(len(passages), min(count, len(passages)), replace=False)
        return [self._question(random, company, int(number), passages[number]) for number in picked]

    def _question(self, random: np.random.Generator, company: Company, number: int, passage: str) -> Question:
        words = passage.rstrip(".").split()
        first = int(random.integers(_WORDS - 5))
        foreign = self._words[int(random.choice(len(self._words), p=self._shares))]
        stranger = self.vectors[int(random.integers(len(self.vectors)))]
        vector = self.vectors[company.rows.start + number] + _STRANGE * stranger
        vector /= np.linalg.norm(vector)
        cosines = self.vectors[company.rows.start : company.rows.stop].astype(np.float16).astype(np.float32) @ vector
        # what halfvec rounds away must not count as a miss
        near = np.flatnonzero(cosines >= np.partition(cosines, -10)[-10] - 2e-4)
        return Question(
            text=f"¿{foreign} {' '.join(words[first : first + 5])}?",
            vector=vector,
            wanted=chunk_id(company.rows.start + number),
            nearest=frozenset(chunk_id(company.rows.start + int(row)) for row in near),
        )


def chunk_id(row: int) -> str:
    return str(uuid.UUID(int=row))


async def load(db: Database, corpus: Corpus, on_company: Callable[[str], None]) -> None:
    """Everything as a user would: COPY under the triggers, statistics a company, `ateneo index tune`."""
    await generations.create(db, stage.RandomEmbedder.provider, stage.RandomEmbedder.model, stage.DIMS)
    waiting = list(corpus.companies)

    async def writer() -> None:
        while waiting:
            company = waiting.pop()
            await _load(db, corpus, company)
            on_company(company.empresa_id)

    await asyncio.gather(*(writer() for _ in range(_WRITERS)))
    async with db.acquire() as connection:
        await connection.execute("VACUUM ANALYZE")
    async for _ in maintenance.tune(db):
        pass


async def _load(db: Database, corpus: Corpus, company: Company) -> None:
    rows = company.rows
    texts = await asyncio.to_thread(corpus.passages, rows)
    vectors = packed_vectors(corpus.vectors[rows.start : rows.stop])
    records = [
        (chunk_id(row), company.empresa_id, number, text, vector)
        for number, (row, text, vector) in enumerate(zip(rows, texts, vectors, strict=True))
    ]
    columns = ["id", "empresa_id", "chunk_index", "contenido", "embedding"]
    async with db.acquire() as connection:
        await connection.copy_records_to_table("knowledge_chunks", records=records, columns=columns, timeout=600)
        await connection.execute("SELECT ateneo.refresh_stats($1)", company.empresa_id, timeout=600)


def _companies(chunks: int) -> Iterator[Company]:
    sizes = [size for size in MEASURED if size <= chunks]
    left = chunks - sum(sizes)
    sizes += [_OTHERS] * (left // _OTHERS) + ([left % _OTHERS] if left % _OTHERS else [])
    first = 0
    for number, size in enumerate(sizes):
        yield Company(f"empresa{number}", range(first, first + size))
        first += size


def _words_of_the_examples() -> Counter[str]:
    folder = Path(__file__).parents[1] / "examples"
    texts = (file.read_text(encoding="utf-8").lower() for file in sorted(folder.rglob("*.md")))
    return Counter(word for text in texts for word in re.findall(r"[^\W\d_]+", text))
