"""Evaluation with the bundled model on PostgreSQL: broken folders, what is loaded, what is measured, what is left."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ateneo.db.pool import Database
from ateneo.db.scratch import PREFIX, StoredText, scratch_database
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument, DatasetInvalid, RightsMissing
from ateneo.evaluation.comparison import calibrate, compare_runs
from ateneo.evaluation.datasets import BeirFolder, QuestionSet, corpus_passages, read_dataset
from ateneo.evaluation.loading import ANSWER, Loader, answering
from ateneo.evaluation.report import Configuration, Outcome, Report, Run, summarise
from ateneo.evaluation.runs import Runner
from ateneo.ingestion.service import IngestionService
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.search.service import VectorSearchService

CORPUS = {
    "p-vac": "Cada persona tiene catorce días corridos de vacaciones por año calendario.",
    "p-mud": "Por mudanza se otorgan dos días corridos de licencia, con aviso previo.",
    "p-cla": "La contraseña del sistema se cambia cada noventa días desde el portal interno.",
    "p-dep": "El depósito cierra a las seis de la tarde y abre a las siete de la mañana.",
    "p-fer": "Quien trabaja en un feriado nacional cobra la jornada con recargo del cien por ciento.",
}
QUERIES = {
    "q1": "¿cuántos días de licencia hay por mudanza?",
    "q2": "¿cada cuánto cambio la contraseña?",
    "q3": "¿a qué hora cierra el depósito?",
    "q4": "zzz sin juicio",
}
QRELS = "query-id\tcorpus-id\tscore\nq1\tp-mud\t2\nq1\tp-vac\t1\nq2\tp-cla\t1\nq3\tp-dep\t1\nq4\tp-vac\t0\n"


def beir(folder: Path, corpus: dict[str, str] = CORPUS, qrels: str = QRELS) -> Path:
    folder.mkdir(exist_ok=True)
    lines(folder / "corpus.jsonl", [{"_id": one, "title": f"T{one}", "text": text} for one, text in corpus.items()])
    lines(folder / "queries.jsonl", [{"_id": one, "text": text} for one, text in QUERIES.items()])
    (folder / "qrels.tsv").write_text(qrels, encoding="utf-8")
    return folder


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def questions(folder: Path) -> Path:
    """Two companies with a file of the same name, a document in a folder that no question names, and a broken file."""
    for empresa, days in (("acme", "catorce"), ("otra", "veinte")):
        docs = folder / empresa / "docs"
        docs.mkdir(parents=True)
        (docs / "personal.md").write_text(
            f"# Personal\n\n## Vacaciones\n\nSe dan **{days} días** de vacaciones\npor año.\n\n"
            "## Tabla\n\n| Código | Precio |\n|---|---|\n| AB-1 | $ 20 |\n| AB-2 | $ 30 |\n",
            encoding="utf-8",
        )
        (folder / empresa / "sin-uso").mkdir()
        (folder / empresa / "sin-uso" / "copia.md").write_text("# Copia\n\nSe dan días de vacaciones por año.")
    (folder / "acme" / "docs" / "vacio.md").write_text("")
    rows = [
        ("1", "acme", "vacaciones", "catorce días de vacaciones por año", "directa"),
        ("2", "otra", "vacaciones", "Se dan veinte días", "otra"),
        ("3", "acme", "precio AB-2", "AB-2 | $ 30", "directa"),
        ("4", "acme", "vacaciones", "texto que no está en ningún lado", "directa"),
    ]
    fields = ("id", "empresa_id", "question", "passage", "kind")
    every = [dict(zip(fields, row, strict=True)) | {"document": "docs/personal.md"} for row in rows]
    lines(folder / "questions.jsonl", every)
    return folder


@pytest.fixture(scope="module")
def embedding() -> Iterator[EmbeddingService]:
    yield EmbeddingService(LocalEmbedder(bundled_model_dir(), threads=1))


def loader(db: Database, embedding: EmbeddingService, *, words_only: bool = False, titles: bool = False) -> Loader:
    backfill = None if words_only else Backfill(db, embedding, batch_size=2, concurrency=2)
    return Loader(db, IngestionService(db, embedding), backfill, titles=titles)


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


# --- reading ------------------------------------------------------------------------------------------------------


def test_beir_folder(tmp_path: Path) -> None:
    folder = beir(tmp_path / "set")
    found = read_dataset(folder)
    assert isinstance(found, BeirFolder)
    assert (found.name, found.passages, found.unjudged) == ("set", 5, 1)
    assert [one.id for one in found.queries] == ["q1", "q2", "q3"]
    assert found.queries[0].grades == {"p-mud": 2, "p-vac": 1}
    limited = read_dataset(folder, limit=2)
    assert isinstance(limited, BeirFolder) and len(limited.queries) == 2
    assert dict(corpus_passages(folder / "corpus.jsonl", titles=True))["p-vac"] == f"Tp-vac {CORPUS['p-vac']}"
    (folder / "qrels").mkdir()
    (folder / "qrels.tsv").rename(folder / "qrels" / "test.tsv")
    assert read_dataset(folder) == found


def test_question_files(tmp_path: Path) -> None:
    folder = questions(tmp_path)
    found, same = read_dataset(folder), read_dataset(folder / "questions.jsonl")
    assert isinstance(found, QuestionSet) and isinstance(same, QuestionSet)
    assert found.questions == same.questions and same.name == "questions"
    assert (found.questions[1].empresa_id, found.questions[1].kind) == ("otra", "otra")


@pytest.mark.parametrize(
    ("file", "content", "where", "word"),
    [
        ("corpus.jsonl", '{"_id": "a", "text": "x"}\n\n{"_id": "a", "text": "y"}\n', "corpus.jsonl:3", "dos veces"),
        ("corpus.jsonl", '{"_id": "a", "text": "x"}\n{not json}\n', "corpus.jsonl:2", "no es JSON"),
        ("corpus.jsonl", '{"_id": "a"}\n', "corpus.jsonl:1", "«text»"),
        ("corpus.jsonl", "[1]\n", "corpus.jsonl:1", "objeto"),
        ("queries.jsonl", '{"text": "hola"}\n', "queries.jsonl:1", "«_id»"),
        ("queries.jsonl", '{"_id": "q1", "text": " \\u0000"}\n', "queries.jsonl:1", "vacío"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\tp-mud\n", "qrels.tsv:2", "tabulador"),
        ("qrels.tsv", "q1\tp-mud\t1\nq1\tp-mud\tmucho\n", "qrels.tsv:2", "entero"),
        ("qrels.tsv", "h\th\th\nq9\tp-mud\t1\n", "qrels.tsv:2", "q9"),
        ("qrels.tsv", "h\th\th\nq1\tp-nada\t1\n", "qrels.tsv:2", "p-nada"),
        ("qrels.tsv", "h\th\th\nq1\tp-mud\t0\n", "qrels.tsv", "relevante"),
    ],
)
def test_broken_beir_folders_are_explained(tmp_path: Path, file: str, content: str, where: str, word: str) -> None:
    (beir(tmp_path) / file).write_text(content, encoding="utf-8")
    with pytest.raises(DatasetInvalid) as caught:
        read_dataset(tmp_path)
    assert str(caught.value.fields["where"]).endswith(where)
    assert word in caught.value.message


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"document": "docs/no.md"}, "docs/no.md"),
        ({"document": "../otra/docs/personal.md"}, "../otra"),
        ({"question": " "}, "«question»"),
        ({"passage": 3}, "«passage»"),
    ],
)
def test_broken_question_files_are_explained(tmp_path: Path, row: dict[str, Any], word: str) -> None:
    good = {"question": "x", "empresa_id": "acme", "document": "docs/personal.md", "passage": "x"}
    lines(questions(tmp_path) / "questions.jsonl", [good, good | row])
    with pytest.raises(DatasetInvalid) as caught:
        read_dataset(tmp_path)
    assert str(caught.value.fields["where"]).endswith("questions.jsonl:2")
    assert word in caught.value.message


def test_not_utf8_missing_and_empty(tmp_path: Path) -> None:
    for path in (tmp_path / "no", tmp_path):
        with pytest.raises(DatasetInvalid):
            read_dataset(path)
    (beir(tmp_path) / "queries.jsonl").write_bytes(b'{"_id": "q", "text": "\xff"}\n')
    with pytest.raises(DatasetInvalid, match="UTF-8"):
        read_dataset(tmp_path)


# --- loading ------------------------------------------------------------------------------------------------------


def test_which_chunks_answer() -> None:
    texts = [
        StoredText("a", "d", "El aguinaldo **equivale** a 22\n días de salario"),
        StoredText("b", "d", "Código | Precio\nAB-2 | Precio: $ 30"),
        StoredText("c", "d", "se deposita en la cuenta de nómina a más tardar el 13"),
    ]
    assert answering("aguinaldo equivale a 22 días", texts) == {"a"}
    assert answering("AB-2 | $ 30", texts) == {"b"}
    assert answering("días de salario y se deposita en la cuenta de nómina a más", texts) == {"c"}
    assert answering("nada de esto figura acá", texts) == frozenset()
    # words, not letters: "2 día" is in "22 días" only as letters
    assert answering("2 día", texts) == frozenset()


async def test_a_beir_folder_in_the_database(database: Database, embedding: EmbeddingService, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    dataset = read_dataset(beir(tmp_path))
    loaded = await loader(database, embedding).load(dataset, lambda *now: told.append(now))
    assert told[-1] == (5, 5)
    async with database.acquire() as connection:
        rows = await connection.fetch("SELECT id, contenido, embedding IS NULL AS waits FROM knowledge_chunks")
    assert {row["id"]: row["contenido"] for row in rows} == CORPUS
    assert not any(row["waits"] for row in rows)
    assert loaded.chunks == 5 and loaded.questions[0].grades == {"p-mud": 2, "p-vac": 1}


async def test_words_alone_need_no_embeddings(database: Database, embedding: EmbeddingService, tmp_path: Path) -> None:
    loaded = await loader(database, embedding, words_only=True, titles=True).load(read_dataset(beir(tmp_path)), quiet)
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(embedding) FROM knowledge_chunks") == 0
        assert await connection.fetchval("SELECT bool_and(contenido LIKE 'Tp-%') FROM knowledge_chunks")
    [run] = await Runner(VectorSearchService(database, embedding)).run(
        loaded, "clean", [Configuration("lexical")], quiet
    )
    assert run.metrics().ndcg > 0.9
    assert {one.embed_ms for one in run.questions} == {0.0}


async def test_question_files_in_the_database(database: Database, embedding: EmbeddingService, tmp_path: Path) -> None:
    loaded = await loader(database, embedding).load(read_dataset(questions(tmp_path)), quiet)
    async with database.acquire() as connection:
        sources = await connection.fetch("SELECT empresa_id, source FROM ateneo.document ORDER BY 1, 2")
    assert [tuple(row) for row in sources] == [("eval-1-acme", "docs/personal.md"), ("eval-1-otra", "docs/personal.md")]
    assert loaded.lost == ("4",)
    assert len(loaded.unreadable) == 1 and "vacio.md" in loaded.unreadable[0]
    [run] = await Runner(VectorSearchService(database, embedding)).run(loaded, "clean", [Configuration()], quiet)
    assert [one.rank for one in run.questions] == [1, 1, 1, None]
    assert run.questions[0].ranked[0] == ANSWER
    assert run.kinds == ("directa", "otra")
    assert run.metrics("directa").questions == 3 and run.metrics("directa").recall[1] == pytest.approx(2 / 3)


# --- measuring ----------------------------------------------------------------------------------------------------


async def test_metrics_are_those_of_the_hits(database: Database, embedding: EmbeddingService, tmp_path: Path) -> None:
    """Computed again from what the search service itself returns, in another way."""
    loaded = await loader(database, embedding).load(read_dataset(beir(tmp_path)), quiet)
    search = VectorSearchService(database, embedding)
    hybrid, dense = await Runner(search, k=3).run(
        loaded, "typos", [Configuration("hybrid", 0.3), Configuration("dense")], quiet
    )
    assert (hybrid.dense_weight, dense.dense_weight) == (0.3, None)
    for run in (hybrid, dense):
        for outcome, question in zip(run.questions, loaded.questions, strict=True):
            found = await search.search(
                question.empresa_id, outcome.question, 3, mode=run.mode, dense_weight=run.dense_weight
            )
            ids = [hit.chunk_id for hit in found.hits]
            assert list(outcome.ranked) == ids
            gain = sum(question.grades.get(one, 0) / math.log2(rank + 2) for rank, one in enumerate(ids))
            best = sum(g / math.log2(r + 2) for r, g in enumerate(sorted(question.grades.values(), reverse=True)))
            assert outcome.ndcg == pytest.approx(gain / best)
            assert outcome.recall.keys() == {1, 3}


async def test_the_weight_in_use_is_written_down(
    database: Database, embedding: EmbeddingService, tmp_path: Path
) -> None:
    loaded = await loader(database, embedding).load(read_dataset(beir(tmp_path)), quiet)
    search = VectorSearchService(database, embedding, dense_weight=0.25)
    [run] = await Runner(search).run(loaded, "clean", [Configuration()], quiet)
    assert run.configuration.label == "hybrid 0.25"


def outcome(name: str, ndcg: float, ms: float = 1.0) -> Outcome:
    return Outcome(name, f"¿{name}?", "", ndcg, 1 if ndcg else None, {10: float(ndcg > 0)}, ("x",), 2.0, ms)


def run_of(values: dict[str, float], weight: float = 0.4) -> Run:
    return Run("d", "clean", "hybrid", weight, tuple(outcome(name, value) for name, value in values.items()))


def test_percentiles_are_by_nearest_rank() -> None:
    metrics = summarise([outcome(str(n), 1.0, ms=float(n)) for n in range(1, 101)])
    assert (metrics.search_p50_ms, metrics.search_p95_ms) == (50.0, 95.0)
    assert (metrics.total_p50_ms, metrics.total_p95_ms) == (52.0, 97.0)


def test_a_report_survives_json(tmp_path: Path) -> None:
    report = Report("0.1", "local", "m", 0.4, 10, (run_of({"a": 1.0, "b": 0.0}),))
    path = tmp_path / "r.json"
    path.write_text(json.dumps(report.as_json()), encoding="utf-8")
    assert Report.read(path) == report
    assert report.as_json()["runs"][0]["metrics"]["ndcg"] == 0.5
    path.write_text('{"runs": []}', encoding="utf-8")
    with pytest.raises(DatasetInvalid, match="--json"):
        Report.read(path)


def test_comparison_by_question() -> None:
    before = run_of({"a": 1.0, "b": 0.5, "c": 0.0, "solo": 1.0})
    [found] = compare_runs([before], [run_of({"c": 1.0, "b": 0.5, "a": 0.2, "nueva": 0.0}, 0.6)])
    assert [one.before.id for one in found.better] == ["c"]
    assert [one.before.id for one in found.worse] == ["a"]
    assert (found.missing, found.difference.questions) == (2, 3)
    assert found.first_ndcg == pytest.approx(0.5) and found.second_ndcg == pytest.approx(1.7 / 3)
    assert found.difference.mean == pytest.approx(0.2 / 3)


def test_what_cannot_be_compared() -> None:
    one = run_of({"a": 1.0})
    for other in ([run_of({"b": 1.0})], [one, run_of({"a": 0.0}, 0.1)]):
        with pytest.raises(BadArgument):
            compare_runs([one], other)


def choosing(count: int) -> set[int]:
    """The half that chooses, as runs of one question above 0 each show it."""
    half = set()
    for place in range(count):
        one = run_of({f"q{n}": float(n == place) for n in range(count)})
        if calibrate([one], current=0.4).chosen_on[0] > 0:
            half.add(place)
    return half


def test_the_weight_is_chosen_on_one_half_alone() -> None:
    names = [f"q{n}" for n in range(40)]
    chosen = calibrate([run_of(dict.fromkeys(names, w), w) for w in (0.2, 0.4, 0.6)], current=0.4)
    assert (chosen.best, chosen.current) == (0.6, 0.4)
    assert chosen.gain.mean == pytest.approx(0.2) and chosen.gain.questions == 20
    even = calibrate([run_of(dict.fromkeys(names, 0.5), w) for w in (0.2, 0.4, 0.6)], current=0.4)
    assert even.best == 0.4
    # what wins on the choosing half alone is not confirmed by the other
    half = choosing(40)
    winners = {f"q{n}": float(n in half) for n in range(40)}
    lucky = calibrate([run_of(dict.fromkeys(names, 0.5), 0.4), run_of(winners, 0.6)], current=0.4)
    assert (lucky.best, lucky.chosen_on, lucky.held_out) == (0.6, (0.5, 1.0), (0.5, 0.0))
    assert lucky.gain.mean == -0.5
    with pytest.raises(BadArgument):
        calibrate([run_of({"a": 1.0})], current=0.4)


@pytest.mark.parametrize("text", ["mode=magic", "dense_weight=2", "dense_weight=x", "peso=1", "nada.json", ""])
def test_configurations_that_make_no_sense(text: str) -> None:
    with pytest.raises(BadArgument):
        Configuration.parse(text)


def test_configurations() -> None:
    assert Configuration.parse("mode=hybrid, dense_weight=0.4") == Configuration("hybrid", 0.4)
    assert Configuration.parse("mode=lexical") == Configuration("lexical")
    assert Configuration.parse("dense_weight=0") == Configuration("hybrid", 0.0)


# --- the scratch database -----------------------------------------------------------------------------------------


async def scratch_names(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE $1", PREFIX + "%")
    finally:
        await connection.close()
    return [row["datname"] for row in rows]


async def test_the_scratch_database_goes_whatever_happens(bare_url: str) -> None:
    async with scratch_database(bare_url) as db:
        [name] = await scratch_names(bare_url)
        async with db.acquire() as connection:
            assert await connection.fetchval("SELECT current_database()") == name
    with pytest.raises(ZeroDivisionError):
        async with scratch_database(bare_url):
            raise ZeroDivisionError
    assert await scratch_names(bare_url) == []


async def test_without_a_server_there_is_a_temporary_one() -> None:
    async with scratch_database(None) as db, db.acquire() as connection:
        folder = Path(await connection.fetchval("SHOW data_directory"))
        assert folder.exists()
    assert not folder.exists()


async def test_a_role_that_may_not_create_databases_is_told_what_it_needs(bare_url: str) -> None:
    connection = await asyncpg.connect(bare_url)
    await connection.execute("DROP ROLE IF EXISTS sin_permiso; CREATE ROLE sin_permiso LOGIN")
    await connection.close()
    with pytest.raises(RightsMissing, match="CREATEDB"):
        async with scratch_database(bare_url.replace("postgres:@", "sin_permiso:@")):
            pass
