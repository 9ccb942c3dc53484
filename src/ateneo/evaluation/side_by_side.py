"""Two embedding models on the same questions, in the database where both have their vectors.

Questions are a file's (with or without the passage that answers), what people asked in conversations or searched for,
or sentences drawn from the chunks themselves, whose answer is the chunk they stand in.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from ateneo.db import query_log as asked_by_people
from ateneo.db import switch
from ateneo.db.pool import Database
from ateneo.db.scratch import StoredText
from ateneo.errors import BadArgument
from ateneo.evaluation import significance
from ateneo.evaluation.datasets import OpenQuestion
from ateneo.evaluation.loading import OnProgress, answering
from ateneo.evaluation.significance import Difference
from ateneo.i18n import tr
from ateneo.search.options import SearchOptions
from ateneo.search.service import VectorSearchService
from ateneo.text.sentences import sentence_spans
from ateneo.types import Hit, Mode

MODES: tuple[Mode, ...] = ("hybrid", "dense")
WORST = 10
SEED = "ateneo"
_BY_WORDS = SearchOptions(50, "lexical", rerank=False)
ENOUGH = 20
"""Questions that people asked from which they are used: fewer say little of what they ask."""
_SHORTEST, _LONGEST = 25, 200
_MOST_OF_IT = 0.8

Origin = Literal["file", "conversation", "search", "sentence"]


@dataclass(frozen=True, slots=True)
class CompanyQuestion:
    """A question to one company. `answers`: the chunks that hold the answer, empty where nobody knows it."""

    text: str
    empresa_id: str
    answers: frozenset[str]
    origin: Origin = "file"


@dataclass(frozen=True, slots=True)
class Pair:
    """What both models found for a question, best first. `rank`s from 1, of the first answer; None: it is not there.

    `overlap`: the share of passages that both found.
    """

    asked: CompanyQuestion
    before: tuple[Hit, ...]
    after: tuple[Hit, ...]
    before_rank: int | None
    after_rank: int | None
    overlap: float

    @property
    def loss(self) -> float:
        """What was lost of the reciprocal rank, in [-1, 1]."""
        return _reciprocal(self.before_rank) - _reciprocal(self.after_rank)


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One way to search, over all questions. Recalls at k are over the `judged` ones, None where there are none, and so
    is `difference` (of the reciprocal rank, new less old). `worst`: what lost most, then what overlaps least.
    `origins`: how many of the questions came from where."""

    mode: Mode
    k: int
    questions: int
    judged: int
    before_recall: float | None
    after_recall: float | None
    overlap: float
    difference: Difference | None
    worst: tuple[Pair, ...]
    origins: Mapping[Origin, int]

    @property
    def ratio(self) -> float | None:
        """The new model's recall as a share of the old one's."""
        if self.before_recall is None or self.after_recall is None:
            return None
        return self.after_recall / self.before_recall if self.before_recall > 0 else 1.0


async def sample_questions(db: Database, empresa_id: str | None, size: int) -> list[CompanyQuestion]:
    """`size` questions by chance, always the same ones: half of them what people asked, where that is ENOUGH, and the
    rest a sentence of a chunk each. People's questions have a known answer only where they said that it was good."""
    real = await asked_by_people.sample(db, empresa_id, max(size // 2, min(size, ENOUGH)), SEED)
    if len(real) < ENOUGH:
        real = []
    asked = [CompanyQuestion(one.text, one.empresa_id, one.liked, one.source) for one in real]
    chunks = await switch.sample_chunks(db, empresa_id, size - len(real), SEED) if size > len(real) else []
    return asked + [CompanyQuestion(sentence_of(one.contenido), one.empresa_id, one.ids, "sentence") for one in chunks]


def sentence_of(text: str) -> str:
    """The sentence in the middle of the text that is neither too short to be found by nor too long for a question.

    Where that is nearly all of the text, or there is none, half of its words: any model finds a text by itself.
    """
    sentences = [" ".join(text[start:end].split()) for start, end in sentence_spans(text)]
    fit = [one for one in sentences if _SHORTEST <= len(one) <= _LONGEST]
    chosen = fit[len(fit) // 2] if fit else ""
    words = text.split()
    if chosen and len(chosen) < _MOST_OF_IT * len(" ".join(words)):
        return chosen
    return " ".join(words[len(words) // 4 : len(words) // 4 + max(1, len(words) // 2)])[:_LONGEST]


async def judge_questions(search: VectorSearchService, questions: Sequence[OpenQuestion]) -> list[CompanyQuestion]:
    """The user's questions, with the chunks that hold each one's passage: looked for by the passage's own words."""
    found: list[CompanyQuestion] = []
    for one in questions:
        answers: frozenset[str] = frozenset()
        if one.passage:
            words = one.passage[: search.max_query_chars]
            near = (await search.search(one.empresa_id, words, options=_BY_WORDS)).hits
            answers = answering(one.passage, [StoredText(hit.chunk_id, hit.document_id, hit.contenido) for hit in near])
        found.append(CompanyQuestion(one.text, one.empresa_id, answers))
    return found


async def compare_models(
    before: VectorSearchService,
    after: VectorSearchService,
    questions: Sequence[CompanyQuestion],
    *,
    k: int = 10,
    on_question: OnProgress | None = None,
) -> list[SideBySide]:
    """Each question to both, in each of MODES. Raises BadArgument for no questions, ProviderError, DatabaseError."""
    if not questions:
        raise BadArgument(name="questions", value=0, rule=tr("hace falta alguna pregunta", "a question is needed"))
    pairs: dict[Mode, list[Pair]] = {mode: [] for mode in MODES}
    for number, asked in enumerate(questions, 1):
        for mode in MODES:
            options = SearchOptions(k, mode, rerank=False)
            old = (await before.search(asked.empresa_id, asked.text, options=options)).hits
            new = (await after.search(asked.empresa_id, asked.text, options=options)).hits
            pairs[mode].append(pair_results(asked, old, new))
        if on_question is not None:
            on_question(number, len(questions))
    return [summarise(mode, k, found) for mode, found in pairs.items()]


def pair_results(asked: CompanyQuestion, before: tuple[Hit, ...], after: tuple[Hit, ...]) -> Pair:
    old, new = [hit.chunk_id for hit in before], [hit.chunk_id for hit in after]
    most = max(len(old), len(new))
    overlap = len(set(old) & set(new)) / most if most else 1.0
    return Pair(asked, before, after, _rank(old, asked.answers), _rank(new, asked.answers), overlap)


def summarise(mode: Mode, k: int, pairs: Sequence[Pair]) -> SideBySide:
    """What the pairs (one or more) come to."""
    known = [one for one in pairs if one.asked.answers]
    before = [_reciprocal(one.before_rank) for one in known]
    after = [_reciprocal(one.after_rank) for one in known]
    worst = sorted(pairs, key=lambda one: (-one.loss, one.overlap, one.asked.text))
    return SideBySide(
        mode=mode,
        k=k,
        questions=len(pairs),
        judged=len(known),
        before_recall=fmean(one.before_rank is not None for one in known) if known else None,
        after_recall=fmean(one.after_rank is not None for one in known) if known else None,
        overlap=fmean(one.overlap for one in pairs),
        difference=significance.compare(before, after) if known else None,
        worst=tuple(one for one in worst[:WORST] if one.loss > 0 or one.overlap < 1),
        origins=Counter(one.asked.origin for one in pairs),
    )


def _rank(ranked: Sequence[str], answers: frozenset[str]) -> int | None:
    return next((rank for rank, one in enumerate(ranked, 1) if one in answers), None)


def _reciprocal(rank: int | None) -> float:
    return 0.0 if rank is None else 1 / rank
