"""The verdict on a baseline: a significant loss, told apart from questions, documents and settings that are others."""

from dataclasses import replace
from pathlib import Path

import pytest

from ateneo.errors import BadArgument, DatasetInvalid
from ateneo.evaluation.datasets import BeirFolder, Question, QuestionSet
from ateneo.evaluation.gate import Baseline, Corpus, Score, ScoredRun, fingerprint, judge


def baseline(scores: dict[str, float], **more: str) -> Baseline:
    questions = {one: Score(more.get(one, f"¿{one}?"), ndcg, 1 if ndcg else None) for one, ndcg in scores.items()}
    run = ScoredRun("normas", "clean", "hybrid", 0.3, questions)
    return Baseline("1", 10, {"embedding": "local/m"}, {"normas": Corpus(3, "a")}, (run,))


GOOD = {f"q{number}": 1.0 for number in range(8)}


def test_the_same_again_passes() -> None:
    verdict = judge(baseline(GOOD), baseline(GOOD))
    assert (verdict.passed, verdict.warnings, verdict.left_out) == (True, (), ())


@pytest.mark.parametrize(("lost", "passes"), [(5, True), (6, False)])
def test_a_loss_fails_once_it_is_significant(lost: int, passes: bool) -> None:
    now = baseline(GOOD | {f"q{number}": 0.0 for number in range(lost)})
    verdict = judge(baseline(GOOD), now)
    assert verdict.passed == passes
    assert [one.before.id for one in verdict.comparisons[0].worse] == [f"q{number}" for number in range(lost)]
    assert judge(now, baseline(GOOD)).passed


def test_only_what_is_the_same_question_is_compared() -> None:
    now = baseline({f"q{number}": 0.0 for number in range(6)} | {"new": 1.0}, q0="otra cosa")
    verdict = judge(baseline(GOOD), now)
    assert verdict.left_out == ("normas/new", "normas/q0", "normas/q6", "normas/q7")
    assert verdict.comparisons[0].difference.questions == 5
    with pytest.raises(BadArgument):
        judge(baseline(GOOD), baseline({"x": 1.0}))
    with pytest.raises(BadArgument):
        judge(baseline(GOOD), replace(baseline(GOOD), k=5))


def test_other_documents_and_settings_are_told() -> None:
    now = replace(baseline(GOOD), corpora={"normas": Corpus(4, "b")}, settings={"embedding": "local/n"}, version="2")
    documents, settings = judge(baseline(GOOD), now).warnings
    assert "3 → 4" in documents
    assert "local/m → local/n" in settings and "1 → 2" in settings


def test_a_baseline_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    baseline(GOOD).write(path)
    assert Baseline.read(path) == baseline(GOOD)
    path.write_text("{}")
    with pytest.raises(DatasetInvalid, match=r"b\.json"):
        Baseline.read(path)
    with pytest.raises(BadArgument):
        baseline(GOOD).write(tmp_path)


def test_a_fingerprint_is_of_every_file_that_distracts(tmp_path: Path) -> None:
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "a.md").write_text("uno")
    dataset = QuestionSet("n", tmp_path, (Question("1", "¿?", "acme", "a.md", "uno", ""),))
    first = fingerprint(dataset)
    (folder / ".hidden").write_text("x")
    assert fingerprint(dataset) == first
    (folder / "b.md").write_text("dos")
    second = fingerprint(dataset)
    assert (first.size, second.size) == (1, 2)
    (folder / "b.md").rename(folder / "c.md")
    assert len({first.sha256, second.sha256, fingerprint(dataset).sha256}) == 3
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("a")
    assert fingerprint(BeirFolder("b", corpus, 7, (), 0)).size == 7
