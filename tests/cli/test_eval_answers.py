"""`ateneo eval answers` as a person meets it: without a key, and with a server that speaks a provider's protocol."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.run import Ended, ateneo
from tests.providers import anthropic_server
from tests.providers.anthropic_server import Reply, fault, message

LICENCIAS = """# Licencias

## Mudanza

Por mudanza se otorgan dos días corridos de licencia, con aviso previo al sector de personal.

## Contraseñas

La contraseña del sistema se cambia cada noventa días desde el portal.
"""
QUESTIONS = [
    {
        "id": "q1",
        "empresa_id": "acme",
        "question": "¿cuántos días de licencia dan por mudanza?",
        "document": "licencias.md",
        "passage": "Por mudanza se otorgan dos días corridos de licencia",
        "kind": "directa",
    },
    {
        "id": "q2",
        "empresa_id": "acme",
        "question": "¿cada cuánto se cambia la contraseña del sistema?",
        "document": "licencias.md",
        "passage": "se cambia cada noventa días",
        "kind": "parafrasis",
    },
]
NOWHERE = [
    {"id": "n1", "empresa_id": "acme", "question": "¿en qué planeta queda la sucursal más austral?"},
    {"id": "n2", "empresa_id": "ninguna", "question": "¿y esta, de una empresa sin documentos?"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "conjunto"
    (place / "acme").mkdir(parents=True)
    (place / "acme" / "licencias.md").write_text(LICENCIAS, encoding="utf-8")
    for name, rows in (("questions", QUESTIONS), ("unanswerable", NOWHERE)):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (place / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return place


def evaluate(*arguments: object, url: str, **more: str) -> Ended:
    return ateneo("eval", "answers", *map(str, arguments), url=url, ATENEO_THREADS="1", **more)


def by_id(run: Ended) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    return report, {one["id"]: one for one in report["questions"]}


def test_the_extractive_answerer(bare_url: str, folder: Path) -> None:
    shown = evaluate(folder, url=bare_url)
    assert shown.returncode == 0, shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 80
    rows = {line.split()[0]: line.split()[1:] for line in shown.stdout.splitlines() if line.strip()}
    assert rows["directa"] == rows["parafrasis"] == ["1", "100,0", "%", "100,0", "%", "0,0", "%", "0,0", "%"]
    assert rows["todas"][0] == "2" and rows["1"] == ["100,0", "%", "0,0", "%", "0,0", "%"]
    report, found = by_id(evaluate(folder, "--json", url=bare_url))
    assert set(found) == {"q1", "q2", "n1"}
    assert (report["answerable"]["correct"], report["unanswerable"]["unknown"]) == (1, 1)
    assert "dos días corridos" in found["q1"]["text"] and found["q1"]["cited"]
    assert found["n1"]["state"] == "unknown" and not found["n1"]["correct"]


def test_a_model_is_judged_counted_and_billed(bare_url: str, folder: Path) -> None:
    """It answers one question with a right citation, knows nothing of the second, and is overloaded at the third."""

    def reply(n: int) -> Reply:
        asked = json.dumps(server.requests[n]["messages"][-1], ensure_ascii=False)
        if "mudanza" in asked.split("¿")[-1]:
            return message("Son dos días corridos [1].", model="claude-sonnet-5-5")
        return message("No lo sé.", model="claude-sonnet-5-5") if "contraseña" in asked else fault(529, "overloaded")

    with anthropic_server.serving(reply) as server:
        claude = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": server.url}
        run = evaluate(folder, "--json", url=bare_url, ATENEO_CHAT_CITATIONS="markers", **claude)
    report, found = by_id(run)
    assert "claude-sonnet-5-5, que los cobra" in run.stderr
    known, nowhere = report["answerable"], report["unanswerable"]
    assert (known["answered"], known["correct"], known["unknown"], known["failed"]) == (0.5, 0.5, 0.5, 0)
    assert (known["input_tokens"], known["output_tokens"]) == (11, 7)
    assert known["cost"] == pytest.approx((11 * 2 + 7 * 10) / 1e6)
    assert (nowhere["failed"], nowhere["unknown"], nowhere["answered"], nowhere["cost"]) == (1, 0, 0, None)
    assert found["n1"]["failed"] == "provider-busy" or found["n1"]["failed"] == "provider-unavailable"


def test_a_key_that_is_refused_ends_it(bare_url: str, folder: Path) -> None:
    with anthropic_server.serving(lambda n: fault(401, "authentication_error")) as server:
        claude = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": server.url}
        run = evaluate(folder, url=bare_url, **claude)
    assert run.returncode == 1 and "401" in run.stderr and "Traceback" not in run.stderr


def test_wrong_use_is_explained(bare_url: str, tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"_id": "p", "text": "hola"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "hola"}\n')
    (tmp_path / "qrels.tsv").write_text("q\tp\t1\n")
    beir = evaluate(tmp_path, url=bare_url)
    assert beir.returncode == 2 and "BEIR" in beir.stderr
    missing = evaluate(tmp_path / "nada", "--json", url=bare_url)
    assert missing.returncode == 2 and json.loads(missing.stdout)["error"]["code"] == "dataset"
