"""`ateneo worker`, `status`, `queue` and `budget`, as an operator uses them, with the bundled model."""

import json
import os
import signal
import subprocess
import sys
import time

import asyncpg
from tests.cli.run import ateneo

from ateneo.db import generations
from ateneo.db.pool import Database


async def _insert(url: str, empresa: str, *texts: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.executemany(
        "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, $2, $3)",
        [(f"{empresa}-{number}", empresa, text) for number, text in enumerate(texts)],
    )
    await connection.close()


async def test_an_operators_day(database_url: str) -> None:
    await _insert(database_url, "acme", "Las vacaciones se piden por escrito.", " " * 20, "corto")
    await _insert(database_url, "otra", "El horario es de nueve a seis.", "El horario es de nueve a seis.")
    assert ateneo("budget", "set", "-e", "otra", "--tokens", "0", url=database_url).returncode == 0
    assert "Ningún worker" not in ateneo("status", url=database_url).stdout  # no generation: nothing is queued yet
    done = ateneo("worker", "--once", url=database_url)
    assert done.returncode == 0, done.stderr
    assert "1 chunk (" in done.stdout and "1 fallido," in done.stdout.replace("\n", " ")
    shown = json.loads(ateneo("status", "--json", url=database_url).stdout)
    companies = {one["empresa_id"]: one for one in shown["companies"]}
    acme, otra = companies["acme"], companies["otra"]
    assert (acme["embedded"], acme["dead"], acme["without"]) == (1, 1, 1)
    assert (otra["pending"], otra["over_budget"], shown["queue"]["over_budget"]) == (2, True, 2)
    assert "Sin presupuesto este mes: 2" in ateneo("status", url=database_url).stdout
    assert "agotado" in ateneo("budget", "show", url=database_url).stdout
    [dead] = json.loads(ateneo("queue", "list", "--json", url=database_url).stdout)
    assert (dead["chunk_id"], dead["error"]) == ("acme-1", "el texto está en blanco")
    assert "en blanco" in ateneo("queue", "show", "acme-1", url=database_url).stdout
    assert ateneo("queue", "show", "nadie", url=database_url).returncode == 2
    assert ateneo("queue", "retry", url=database_url).returncode == 2
    assert "1 vuelve a la cola" in ateneo("queue", "retry", "acme-1", url=database_url).stdout
    ateneo("worker", "--once", url=database_url)
    assert "1 abandonado:" in ateneo("queue", "drop", "--all", url=database_url).stdout
    assert ateneo("budget", "set", "-e", "otra", url=database_url).returncode == 2
    assert "ya no tiene" in ateneo("budget", "set", "-e", "otra", "--none", url=database_url).stdout
    again = ateneo("worker", "--once", url=database_url)
    assert "2 chunks (1 de textos ya conocidos)" in again.stdout.replace("\n", " ")


async def test_letters_with_long_names_stay_readable(database: Database, database_url: str) -> None:
    company, reason = (
        "una-empresa-de-nombre-muy-largo-sociedad-anónima",
        "openai no aceptó un texto: demasiado largo para él",
    )
    await generations.create(database, "local", "x", 4)
    await _insert(
        database_url, company, "Un texto bastante largo", "Otro texto bastante largo", "Y uno más, largo también"
    )
    async with database.acquire() as connection:
        await connection.execute("UPDATE ateneo.embedding_queue SET state = 'dead', error = $1, deaths = 6", reason)
    shown = ateneo("queue", "list", "--limit", "2", url=database_url).stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count(reason) == 1, "said once for all that have it"
    assert "--limit" in shown
    limit = ateneo(
        "budget", "set", "-e", company, "--usd", "5", url=database_url, OPENAI_API_KEY="k", ATENEO_EMBEDDING_MODEL="x"
    )
    assert "precio de x" in limit.stderr, "dollars stop nothing where nobody knows the price"
    assert "procesos caídos: 6" in ateneo("queue", "show", f"{company}-0", url=database_url).stdout


async def test_a_signal_ends_a_worker_in_peace(database_url: str) -> None:
    environment = {**os.environ, "DATABASE_URL": database_url, "PYTHONUNBUFFERED": "1"}
    program = [sys.executable, "-c", "from ateneo.cli.main import main; main()", "worker"]
    worker = subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    connection = await asyncpg.connect(database_url)
    deadline = time.monotonic() + 60
    while not await connection.fetchval("SELECT EXISTS (SELECT FROM ateneo.worker WHERE state = 'idle')"):
        assert time.monotonic() < deadline and worker.poll() is None
        time.sleep(0.05)
    worker.send_signal(signal.SIGTERM)
    output, errors = worker.communicate(timeout=60)
    assert worker.returncode == 0, errors
    assert "Terminado" in output and "Termino lo que está en curso" in errors
    assert await connection.fetchval("SELECT count(*) FROM ateneo.worker") == 0
    await connection.close()
