"""`ateneo eval retrieval` as a person meets it, on a real server."""

import json
import signal
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import asyncpg
import pytest
from tests.cli.run import ATENEO, Ended, ateneo, environment

TEXTS = {
    "p1": "Cada persona tiene catorce días corridos de vacaciones por año calendario.",
    "p2": "Por mudanza se otorgan dos días corridos de licencia, con aviso previo.",
    "p3": "La contraseña del sistema se cambia cada noventa días desde el portal.",
}
QUESTIONS = {"q1": "descanso anual", "q2": "¿cuántos días de licencia hay por mudanza?", "q3": "¿cambio de contraseña?"}


def evaluate(*arguments: object, url: str | None = None, **more: str) -> Ended:
    return ateneo("eval", "retrieval", *map(str, arguments), url=url, ATENEO_THREADS="1", **more)


async def databases(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'ateneo_eval_%'")
        return {row["datname"] for row in rows}
    finally:
        await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "mudanzas"
    place.mkdir()
    for name, rows in (("corpus", TEXTS), ("queries", QUESTIONS)):
        lines = [json.dumps({"_id": one, "text": text}, ensure_ascii=False) for one, text in rows.items()]
        (place / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (place / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tp1\t1\nq2\tp2\t1\nq3\tp3\t1\n")
    return place


async def test_table_plot_and_a_server_left_as_it_was(bare_url: str, folder: Path, tmp_path: Path) -> None:
    chart = tmp_path / "barras.svg"
    run = evaluate(folder, "--variants", "clean,noaccents,typos", "--plot", chart, url=bare_url)
    assert run.returncode == 0, run.stderr
    shown = run.stdout.splitlines()
    assert max(map(len, shown)) <= 80
    assert [line.split()[:2] for line in shown[2:]] == [["mudanzas", v] for v in ("clean", "noaccents", "typos")]
    assert "nDCG@10" in run.stdout and "3 preguntas" in run.stderr
    drawn = ElementTree.fromstring(chart.read_text(encoding="utf-8"))
    texts = [node.text for node in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {f"mudanzas · {v}" for v in ("clean", "noaccents", "typos")} <= set(texts)
    assert shown[2].split()[2] in texts
    assert await databases(bare_url) == set()
    connection = await asyncpg.connect(bare_url)
    assert await connection.fetchval("SELECT to_regnamespace('ateneo') IS NULL")
    await connection.close()


def test_two_configurations_then_their_saved_results(bare_url: str, folder: Path, tmp_path: Path) -> None:
    compared = evaluate(folder, "--compare", "mode=lexical", "mode=dense", url=bare_url)
    assert compared.returncode == 0, compared.stderr
    assert max(map(len, compared.stdout.splitlines())) <= 80
    saved = []
    for mode in ("lexical", "dense"):
        run = evaluate(folder, "--mode", mode, "--json", url=bare_url)
        saved.append(tmp_path / f"{mode}.json")
        saved[-1].write_text(run.stdout, encoding="utf-8")
        metrics = json.loads(run.stdout)["runs"][0]["metrics"]
        assert metrics["questions"] == 3
        assert metrics["recall"]["1"] == pytest.approx({"lexical": 2 / 3, "dense": 1.0}[mode])
    again = evaluate("--compare", *saved)
    assert again.returncode == 0, again.stderr
    # the same comparison, whether measured now or read
    assert again.stdout.strip() in compared.stdout
    assert "con B: mejoran 1, empeoran 0, igual 2" in again.stdout
    assert "– → 1" in again.stdout and "descanso anual" in again.stdout
    changes = json.loads(evaluate("--compare", *saved, "--json").stdout)["comparisons"][0]["changes"]
    assert [(one["id"], one["rank"]) for one in changes] == [("q1", [None, 1])]


def test_calibration_writes_nothing(bare_url: str, folder: Path) -> None:
    run = evaluate(folder, "--calibrate", url=bare_url, ATENEO_LANG="en")
    assert run.returncode == 0, run.stderr
    weights = [line.split()[0] for line in run.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert {"0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1"} <= set(weights)
    assert "in use" in run.stdout and "best" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ([], 2, "hace falta una carpeta"),
        (["no-existe"], 2, "no existe"),
        (["x", "--variants", "raras"], 2, "noaccents"),
        (["x", "--compare", "mode=lexical", "nada"], 2, "--compare"),
        (["x", "--plot", "dibujo.png"], 2, ".svg"),
        (["x", "--calibrate", "--mode", "dense"], 2, "--calibrate"),
        (["x", "--k", "0"], 2, "k"),
    ],
)
def test_wrong_use_is_explained(arguments: list[str], code: int, word: str) -> None:
    run = evaluate(*arguments)
    assert (run.returncode, "Traceback" in run.stderr) == (code, False)
    assert word in run.stderr


def test_a_broken_line_is_named_and_json_stays_json(folder: Path) -> None:
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "hola"}\n{"_id": }\n', encoding="utf-8")
    run = evaluate(folder, "--json")
    assert run.returncode == 2
    error = json.loads(run.stdout)["error"]
    assert error["code"] == "dataset" and "queries.jsonl:2" in error["message"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_it_drops_its_database(bare_url: str, folder: Path, number: signal.Signals) -> None:
    long = [json.dumps({"_id": f"p{n}", "text": f"{TEXTS['p1']} {n} " * 20}) for n in range(4, 3000)]
    with (folder / "corpus.jsonl").open("a", encoding="utf-8") as corpus:
        corpus.write("\n" + "\n".join(long))
    # what a script starts in its background ignores Ctrl-C, and must end politely all the same
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN if number is signal.SIGTERM else signal.default_int_handler)
    with subprocess.Popen(
        [ATENEO, "eval", "retrieval", str(folder)],
        env=environment(bare_url, ATENEO_THREADS="1"),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        signal.signal(signal.SIGINT, usual)
        while not await databases(bare_url) and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Interrumpido" in errors and "Traceback" not in errors
    assert await databases(bare_url) == set()
