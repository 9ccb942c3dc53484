"""The guide's script: what it says, and as its users run it, a process of its own in backend/."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest
from tests.cli.run import in_this_process
from tests.providers.server import Fault, ProviderServer

from ateneo.cli import backfill
from ateneo.db.pool import Database

BACKEND = Path(__file__).resolve().parents[2] / "backend"
DIMS = 8


def environment(url: str, server: ProviderServer | None, lang: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ATENEO_", "OPENAI_"))}
    chosen = {"DATABASE_URL": url, "ATENEO_SECRETS_FILE": "/nonexistent", "COLUMNS": "80", "ATENEO_LANG": lang}
    if server is not None:
        chosen |= {
            "OPENAI_API_KEY": "sk-secreta",
            "OPENAI_BASE_URL": server.url,
            "ATENEO_EMBEDDING_DIMENSIONS": str(DIMS),
            "ATENEO_EMBEDDING_RETRIES": "0",
        }
    return clean | chosen


async def start(url: str, server: ProviderServer | None, *arguments: str, lang: str = "es") -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "scripts.migrate_embeddings", *arguments),
        cwd=BACKEND,
        env=environment(url, server, lang),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )


async def run(
    url: str, server: ProviderServer | None, *arguments: str, answer: str = "", lang: str = "es"
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    ended = in_this_process(lambda: backfill.main(arguments), environment(url, server, lang), answer)
    assert "sk-secreta" not in ended.stdout + ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


async def fill(db: Database, n: int, empresa: str = "acme") -> None:
    async with db.acquire() as connection:
        await connection.executemany(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, $2, $3)",
            [(f"{empresa}-{k:04}", empresa, f"Pasaje [b]número[/b] {k} sobre :smile: feriados") for k in range(n)],
        )


async def stored(db: Database) -> int:
    async with db.acquire() as connection:
        return int(await connection.fetchval("SELECT count(embedding) FROM knowledge_chunks"))


async def test_dry_run_then_a_few_then_all(database: Database, database_url: str) -> None:
    await fill(database, 30)
    with ProviderServer(dims=DIMS) as server:
        code, output, _ = await run(database_url, server, "--dry-run")
        assert (code, server.calls, await stored(database)) == (0, 0, 0)
        assert "DRY RUN" in output and "Se procesarían 30 chunks" in output
        assert "- [acme-000...] Pasaje [b]número[/b] 0 sobre :smile: feriados..." in output
        assert "Costo estimado: ~$0,0000" in output and "text-embedding-3-small" in output

        code, output, _ = await run(database_url, server, "--limit", "10", answer="y\n")
        assert (code, await stored(database)) == (0, 10)
        assert "Total chunks a procesar: 10" in output and "¿Continuar? [y/N]" in output
        assert "Procesados exitosamente: 10" in output and "Chunks aún sin embedding: 20" in output
        assert "Progreso: 10/10 (100,0\N{NO-BREAK SPACE}%)" in output

        code, output, errors = await run(database_url, server, "--json", "--yes")
        assert (code, errors, await stored(database)) == (0, "", 30)
        report = json.loads(output)
        assert (report["processed"], report["remaining"], report["failed"]) == (20, 0, [])

        code, output, _ = await run(database_url, server)
        assert code == 0 and "No hay chunks pendientes de procesar" in output


async def test_without_an_answer_or_with_a_no_nothing_happens(database: Database, database_url: str) -> None:
    await fill(database, 5)
    with ProviderServer(dims=DIMS) as server:
        code, output, errors = await run(database_url, server)
        assert (code, output.count("Continuar")) == (2, 1)
        assert "--yes" in errors
        code, output, _ = await run(database_url, server, answer="n\n")
        assert code == 1 and "Migración cancelada" in output
        code, output, errors = await run(database_url, server, "--json")
        assert (code, errors, json.loads(output)["error"]["code"]) == (2, "", "input")
        assert server.calls == 0
    assert await stored(database) == 0
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ateneo.generation") == 0


@pytest.mark.parametrize(("arguments", "says"), [(("--limit", "0"), "limit=0"), (("--empresa-id", "nadie"), "«nadie»")])
async def test_wrong_use(database: Database, database_url: str, arguments: tuple[str, ...], says: str) -> None:
    await fill(database, 1)
    with ProviderServer(dims=DIMS) as server:
        code, _, errors = await run(database_url, server, "--yes", *arguments)
        assert code == 2 and says in errors and "Traceback" not in errors
        assert server.calls == 0


async def test_bad_chunks_are_listed_and_end_with_3(database: Database, database_url: str) -> None:
    await fill(database, 20)
    with ProviderServer(dims=DIMS) as server:
        server.poison = "número[/b] 7 "
        code, output, errors = await run(database_url, server, "--yes")
        assert code == 3
        assert "Procesados exitosamente: 19" in output and "Errores: 1" in output
        assert "acme-0007 (acme)" in errors and "this text cannot be embedded" in errors
        code, output, _ = await run(database_url, server, "--yes", "--json")
        assert code == 3
        [failed] = json.loads(output)["failed"]
        assert (failed["chunk_id"], failed["empresa_id"]) == ("acme-0007", "acme")
    assert await stored(database) == 19


async def test_a_rejected_key_stops_it_and_says_how_to_go_on(database: Database, database_url: str) -> None:
    await fill(database, 200)
    with ProviderServer(dims=DIMS) as server:
        server.script(Fault.OK)
        server.otherwise = Fault.UNAUTHORIZED
        asked = ("--yes", "--empresa-id", "acme", "--batch-size", "10", "--concurrency", "1")
        code, output, errors = await run(database_url, server, *asked)
        assert (code, server.calls) == (1, 2)
    assert "Procesados exitosamente: 10" in output and "Chunks aún sin embedding: 190" in output
    assert "Se detuvo en el chunk acme-0010" in errors
    assert "Para seguir: python -m scripts.migrate_embeddings --empresa-id acme" in errors
    assert await stored(database) == 10


async def test_no_database() -> None:
    with ProviderServer(dims=DIMS) as server:
        code, _, errors = await run("postgresql://nadie:clave@127.0.0.1:1/nada", server, "--yes")
    assert code == 1 and "127.0.0.1:1/nada" in errors and "clave" not in errors and "Traceback" not in errors


async def test_an_interruption_keeps_the_page_in_hand(database: Database, database_url: str) -> None:
    await fill(database, 100)
    with ProviderServer(dims=DIMS) as server:
        server.gate.clear()
        process = await start(database_url, server, "--yes", "--batch-size", "10", "--concurrency", "1")
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while server.calls == 0:
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGINT)
            await process.stderr.readuntil("Termino lo que está en curso".encode())
            server.gate.set()
            output, errors = await process.communicate()
    assert process.returncode == 130
    assert "Chunks aún sin embedding: 90" in output.decode()
    assert "Para seguir: python -m scripts.migrate_embeddings" in errors.decode()
    assert await stored(database) == 10


async def test_the_bundled_model_and_english(database: Database, database_url: str) -> None:
    await fill(database, 3)
    process = await start(database_url, None, lang="en")
    output = (await process.communicate(b"y\n"))[0].decode()
    assert process.returncode == 0 and "Provider: local" in output
    assert "Estimated cost: ~$0.00 USD (local model, free)" in output and "Processed successfully: 3" in output
    code, output, _ = await run(database_url, None, "--help", lang="en")
    assert code == 0 and "Makes the missing embeddings." in output
    assert await stored(database) == 3
