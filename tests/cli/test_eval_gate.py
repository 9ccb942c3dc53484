"""`ateneo eval gate` as a CI meets it: a baseline kept, held, and lost."""

import json
from pathlib import Path

import pytest
from tests.cli.run import Ended, ateneo

WORDS = ("vacaciones", "mudanza", "contraseña", "feriado", "viáticos", "uniforme", "comedor", "garage")


def gate(*arguments: object, url: str | None = None, **more: str) -> Ended:
    return ateneo("eval", "gate", *map(str, arguments), "--mode", "lexical", url=url, ATENEO_THREADS="1", **more)


def write(folder: Path, words: tuple[str, ...]) -> None:
    folder.mkdir(exist_ok=True)
    rows = [{"_id": f"p{at}", "text": f"De esto trata la norma: {word}."} for at, word in enumerate(words)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = [{"_id": f"q{at}", "text": word} for at, word in enumerate(WORDS)]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)))
    (folder / "qrels.tsv").write_text("".join(f"q{at}\tp{at}\t1\n" for at in range(len(WORDS))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "normas", WORDS)
    return tmp_path / "normas"


def test_a_baseline_is_kept_held_and_lost(bare_url: str, folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "baseline.json"
    missing = gate(folder, "--baseline", kept, url=bare_url)
    assert missing.returncode == 2 and "--update" in missing.stderr
    made = gate(folder, "--baseline", kept, "--update", url=bare_url)
    assert made.returncode == 0, made.stderr
    text = kept.read_text(encoding="utf-8")
    assert json.loads(text)["runs"][0]["questions"]["q1"] == {"question": "mudanza", "ndcg": 1.0, "rank": 1}
    held = gate(folder, "--baseline", kept, url=bare_url)
    assert held.returncode == 0, held.stderr
    assert "Sin pérdida" in held.stdout

    write(folder, WORDS[1:] + WORDS[:1])
    lost = gate(folder, "--baseline", kept, url=bare_url)
    assert lost.returncode == 1, lost.stderr
    assert max(map(len, lost.stdout.splitlines())) <= 80
    assert "empeoró: normas" in lost.stdout and "mudanza" in lost.stdout
    assert "documentos de normas cambiaron" in lost.stderr
    assert kept.read_text(encoding="utf-8") == text
    told = gate(folder, "--baseline", kept, "--json", url=bare_url)
    assert told.returncode == 1
    verdict = json.loads(told.stdout)
    assert not verdict["passed"] and len(verdict["comparisons"][0]["lost"]) == len(WORDS)

    again = gate(folder, "--baseline", kept, "--update", url=bare_url)
    assert again.returncode == 0
    assert gate(folder, "--baseline", kept, url=bare_url).returncode == 0
