"""Asks an agent every question of a dataset, and some that its documents do not answer, and judges what it says."""

import asyncio
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from ateneo.agents.service import DEFAULT_AGENT, AgentService
from ateneo.errors import ProviderAnswerInvalid, ProviderBusy, ProviderRefusedInput, ProviderUnavailable
from ateneo.evaluation.loading import Judged, Loaded, OnProgress
from ateneo.types import Answer

_AT_ONCE = 4
"""Questions at the same time, where a provider answers them."""
_ONE_ANSWER = (ProviderBusy, ProviderUnavailable, ProviderRefusedInput, ProviderAnswerInvalid)


@dataclass(frozen=True, slots=True)
class AnswerOutcome:
    """What became of one question. `state` as of an Answer; `failed` the code of the error that left no answer.

    `cited` are the chunks cited, in order, each verified; `correct` those of them that answer the question by its own
    judgement. `cost` is US dollars, None where the model's price is unknown. `answerable`: the documents answer it.
    """

    id: str
    question: str
    kind: str
    answerable: bool
    state: str
    text: str
    cited: tuple[str, ...]
    correct: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    cost: float | None
    latency_ms: int
    failed: str | None = None

    @property
    def answered(self) -> bool:
        """It says something else than that it does not know."""
        return self.failed is None and self.state in ("complete", "cut")


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of the questions, in [0, 1]; means of tokens and cost, and the median of milliseconds, of a question.

    `cited`: with any citation; `correct`: with at least one that answers it; `unknown`: "no lo sé"; `failed`: refused,
    interrupted, or no answer at all. `cost` None where any is unknown.
    """

    questions: int
    answered: float
    cited: float
    correct: float
    unknown: float
    failed: float
    input_tokens: float
    output_tokens: float
    cost: float | None
    latency_p50_ms: float


@dataclass(frozen=True, slots=True)
class AnswersReport:
    """`provider`, `model`: what answered; `embedder`: what searched."""

    version: str
    dataset: str
    provider: str
    model: str
    embedder: str
    questions: tuple[AnswerOutcome, ...]

    def shares(self, *, answerable: bool, kind: str | None = None) -> Shares | None:
        """Over the questions that the documents answer, or those that they do not; None where there are none."""
        return shares(
            one for one in self.questions if one.answerable == answerable and (kind is None or one.kind == kind)
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the answerable questions, in alphabetical order."""
        return tuple(sorted({one.kind for one in self.questions if one.answerable} - {""}))

    def as_json(self) -> dict[str, Any]:
        """For `json.dumps`: the fields, and the shares of both groups."""
        both = {"answerable": self.shares(answerable=True), "unanswerable": self.shares(answerable=False)}
        return dataclasses.asdict(self) | {name: one and dataclasses.asdict(one) for name, one in both.items()}


def shares(replied: Iterable[AnswerOutcome]) -> Shares | None:
    """The shares of some questions; None of none."""
    some = list(replied)
    if not some:
        return None
    costs = [one.cost for one in some if one.cost is not None]
    return Shares(
        questions=len(some),
        answered=fmean(one.answered for one in some),
        cited=fmean(one.answered and bool(one.cited) for one in some),
        correct=fmean(one.answered and bool(one.correct) for one in some),
        unknown=fmean(one.failed is None and one.state == "unknown" for one in some),
        failed=fmean(not one.answered and (one.failed is not None or one.state != "unknown") for one in some),
        input_tokens=fmean(one.input_tokens for one in some),
        output_tokens=fmean(one.output_tokens for one in some),
        cost=fmean(costs) if len(costs) == len(some) else None,
        latency_p50_ms=median(one.latency_ms for one in some),
    )


class Questioner:
    """Uses AgentService as any caller does: one question at a time, four where a provider answers (`remote`)."""

    def __init__(self, agent: AgentService, *, remote: bool) -> None:
        self._agent = agent
        self._slots = asyncio.Semaphore(_AT_ONCE if remote else 1)

    async def ask(
        self, loaded: Loaded, unanswerable: Sequence[Judged], on_progress: OnProgress
    ) -> tuple[AnswerOutcome, ...]:
        """Every question in order, those without an answer last.

        An error that is one answer's (busy, unavailable, refused) is that question's `failed`; others are raised:
        ProviderRejected, DatabaseError, QueryTooLong.
        """
        asked = [(one, True) for one in loaded.questions] + [(one, False) for one in unanswerable]
        done = 0

        async def reply(question: Judged, answerable: bool) -> AnswerOutcome:
            nonlocal done
            async with self._slots:
                replied = await self._reply(question, answerable)
            done += 1
            on_progress(done, len(asked))
            return replied

        # gather and not a TaskGroup, which would wrap the one error that matters in a group
        tasks = [asyncio.create_task(reply(*one)) for one in asked]
        try:
            return tuple(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def _reply(self, question: Judged, answerable: bool) -> AnswerOutcome:
        try:
            answer = await self._agent.chat(question.empresa_id, DEFAULT_AGENT, question.text)
        except _ONE_ANSWER as error:
            return _failed(question, answerable, error.code)
        return _judged(question, answerable, answer)


def _judged(question: Judged, answerable: bool, answer: Answer) -> AnswerOutcome:
    cited = tuple(dict.fromkeys(one.chunk_id for one in answer.citations))
    right = question.answers or {one for one, grade in question.grades.items() if grade > 0}
    return AnswerOutcome(
        id=question.id,
        question=question.text,
        kind=question.kind,
        answerable=answerable,
        state=answer.state,
        text=answer.text,
        cited=cited,
        correct=tuple(one for one in cited if one in right),
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        cost=answer.cost,
        latency_ms=answer.latency_ms,
        failed=answer.error,
    )


def _failed(question: Judged, answerable: bool, code: str) -> AnswerOutcome:
    return AnswerOutcome(
        question.id, question.text, question.kind, answerable, "interrupted", "", (), (), 0, 0, None, 0, code
    )
