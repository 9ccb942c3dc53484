"""The training questions: every file can be used, no passage stands twice, and nothing is from `examples/`."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "training" / "questions").glob("*.jsonl"))
LONGEST_SHARED = 10
"""Words in a row: shorter runs are set phrases of contracts and labour law."""
Load = Callable[[str], ModuleType]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_can_be_used(module: Load, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert module("check_questions").check(file), capsys.readouterr().out


def test_a_question_that_shares_words_is_told(module: Load) -> None:
    check = module("check_questions")
    row = {"title": "Envíos", "heading": "", "passage": "El paquete queda en custodia durante cinco días hábiles."}
    assert check.shared(row, "¿cuánto lo guardan si no hubo nadie?") == set()
    assert check.shared(row, "¿adónde van los PAQUÉTES perdidos?") == {"paquet"}


def test_nothing_stands_twice(module: Load) -> None:
    found = module("questions").read_questions()
    assert not [text for text, n in Counter(one.text for one in found.passages).items() if n > 1]
    assert {one.passage for one in found.asked} == set(range(len(found.passages)))


def test_nothing_is_from_the_examples(module: Load) -> None:
    words = module("textnorm").words
    texts = [
        path.read_text(encoding="utf-8")
        for path in (ROOT / "examples").rglob("*")
        if path.suffix in (".md", ".jsonl", ".html")
    ]
    known = {gram for text in texts for gram in _grams(words(text))}
    found = module("questions").read_questions()
    assert known
    assert not [
        text
        for text in [*(p.text for p in found.passages), *(q.text for q in found.asked)]
        if known & set(_grams(words(text)))
    ]


def test_domains_are_trained_on_or_held_out_or_unseen(module: Load) -> None:
    questions = module("questions")
    everything = questions.read_questions()
    seen, held = everything.of(held_out=False), everything.of(held_out=True)
    domains = {one.domain for one in seen.passages}
    assert not domains & {*questions.HELD_OUT, *questions.UNSEEN}
    assert {one.domain for one in held.passages} == {*questions.HELD_OUT}
    assert domains | {*questions.HELD_OUT, *questions.UNSEEN} == {one.domain for one in everything.passages}
    assert all(one.text for one in seen.asked)
    assert max(one.passage for one in seen.asked) < len(seen.passages)


def _grams(every: list[str]) -> list[str]:
    words = [word for word in every if not word.isdigit()]
    return [" ".join(words[at : at + LONGEST_SHARED]) for at in range(len(words) - LONGEST_SHARED + 1)]
