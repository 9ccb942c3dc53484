"""How fast is a hybrid search, beside the bare nearest neighbours and beside other stores on the same data? What do the
triggers cost? `python -m benchmarks search`; `python -m benchmarks search --help` shows how to add the peers."""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import numpy as np
from rich.table import Table

from ateneo.db import embedded, migrate
from ateneo.db.pool import Database
from ateneo.indexing import maintenance
from benchmarks import search_data, stage, throughput, triggers
from benchmarks.contenders import Ateneo, Contender, K, Knn, PeerStore, SearchFunction
from benchmarks.peers import remote
from benchmarks.search_data import Company, Corpus, KnownQueries, Question

_DATABASE = "search"
_EF_SEARCH = (40, 120)
"""pgvector's default, and what Ateneo takes at 20,000 chunks."""


@dataclass
class Measured:
    """Milliseconds of every hybrid answer; recall@10 of the dense ones; nDCG@10 of the hybrid ones."""

    times: list[float] = field(default_factory=list)
    recall: float = 0.0
    ndcg: float | None = None

    @property
    def p50(self) -> float:
        return statistics.median(self.times)

    @property
    def p95(self) -> float:
        return float(np.percentile(self.times, 95))


def main(argv: Sequence[str] = ()) -> None:
    options = _options(argv)
    with _server(options.folder) as url:
        asyncio.run(_run(url, options))


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks search", description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000, help="in the whole database")
    parser.add_argument("--questions", type=int, default=20, help="a company")
    parser.add_argument("--rounds", type=int, default=4, help="after the one that warms up")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each throughput figure")
    parser.add_argument("--trigger-rows", type=int, default=6_000)
    parser.add_argument("--peers-python", default=sys.executable, help="see benchmarks/peers/requirements.txt")
    parser.add_argument("--folder", help="keeps the database there, and takes it from there the next time")
    return parser.parse_args(argv)


@contextmanager
def _server(folder: str | None) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="ateneo-bench-", ignore_cleanup_errors=True) as scratch:
        place = f"embedded:{Path(folder or scratch) / 'data'}"
        asyncio.run(_configure(embedded.start(place)))
        embedded.stop(place)
        yield embedded.start(place)
        embedded.stop(place)


async def _configure(url: str) -> None:
    """What a server with some GB to spare gets; the peers' graphs would not be built in memory otherwise."""
    connection = await asyncpg.connect(url)
    for setting in ("shared_buffers = '1GB'", "maintenance_work_mem = '512MB'"):
        await connection.execute(f"ALTER SYSTEM SET {setting}")
    await connection.close()


async def _run(server: str, options: argparse.Namespace) -> None:
    corpus = Corpus(options.chunks)
    url = await _database(server, corpus)
    companies = {len(c.rows): c for c in reversed(corpus.companies) if len(c.rows) in search_data.MEASURED}
    questions = {size: corpus.questions(c, options.questions) for size, c in sorted(companies.items())}
    known = KnownQueries([question for asked in questions.values() for question in asked])
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(p) for p in await _peers(url, options.peers_python)]
        await _fill_peers(url, peers)
        ateneo = await stack.enter_async_context(Ateneo.opened(url, known))
        for size, asked in questions.items():
            contenders: list[Contender] = [
                ateneo,
                await stack.enter_async_context(SearchFunction.opened(url)),
                *_peer_stores(peers),
            ]
            contenders += [
                await stack.enter_async_context(Knn.opened(url, companies[size].empresa_id, ef)) for ef in _EF_SEARCH
            ]
            _show(size, await _measure(contenders, companies[size], asked, options.rounds))
    largest = max(companies)
    await throughput.run(url, companies[largest], questions[largest], known, options.seconds)
    await triggers.run(server, options.trigger_rows)


async def _database(server: str, corpus: Corpus) -> str:
    """The filled database: made, or the one that is there with as many chunks."""
    url = server.replace("/postgres?", f"/{_DATABASE}?")
    connection = await asyncpg.connect(server)
    there = await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", _DATABASE)
    if there:
        own = await asyncpg.connect(url)
        there = await own.fetchval("SELECT count(*) FROM knowledge_chunks") == len(corpus.vectors)
        await own.close()
    if not there:
        await connection.execute(f"DROP DATABASE IF EXISTS {_DATABASE}")
        await stage.new_database(server, _DATABASE)
    await connection.close()
    async with await Database.open(url) as db:
        await migrate.upgrade(db)  # functions may have changed since
        await maintenance.finish_rebuilds(db)
        if not there:
            with stage.console.status("") as status:
                await search_data.load(db, corpus, lambda empresa: status.update(f"{empresa} loaded"))
    return url


async def _peers(url: str, python: str) -> list[AbstractAsyncContextManager[remote.Peer]]:
    found: list[AbstractAsyncContextManager[remote.Peer]] = []
    for name in remote.MODULES:
        why = await remote.missing(python, name)
        if why is None:
            found.append(remote.started(python, name, url))
        else:
            stage.console.print(f"[yellow]{name} is left out: {why}[/] (see benchmarks/peers/requirements.txt)")
    return found


async def _fill_peers(url: str, peers: Sequence[remote.Peer]) -> None:
    connection = await asyncpg.connect(url)
    for peer in peers:
        if await connection.fetchval("SELECT to_regclass($1) IS NULL", remote.TABLES[peer.name]):
            with stage.console.status(f"filling {peer.name}"):
                await peer.fill()
        await peer.open()
    await connection.close()


def _peer_stores(peers: Sequence[remote.Peer]) -> list[PeerStore]:
    return [PeerStore(peer, way) for peer in peers for way in ("hnsw", "exact")]


async def _measure(
    contenders: Sequence[Contender], company: Company, questions: Sequence[Question], rounds: int
) -> dict[str, Measured]:
    """All contenders in turn for each question, shuffled, since who comes second finds the pages warm; the first round
    warms up."""
    random = np.random.default_rng(1)
    found = {contender.name: Measured() for contender in contenders}
    for number in range(rounds + 1):
        for question in questions:
            for place in random.permutation(len(contenders)):
                contender = contenders[place]
                _, ms = await contender.hybrid(company.empresa_id, question)
                if number:
                    found[contender.name].times.append(ms)
    for contender in contenders:
        await _judge(contender, found[contender.name], company, questions)
    return found


async def _judge(contender: Contender, found: Measured, company: Company, questions: Sequence[Question]) -> None:
    hits, gains = 0, 0.0
    for question in questions:
        dense = await contender.dense(company.empresa_id, question)
        hits += len(question.nearest.intersection(dense[:K]))
        ids = (await contender.hybrid(company.empresa_id, question))[0][:K]
        gains += 1 / np.log2(2 + ids.index(question.wanted)) if question.wanted in ids else 0.0
    found.recall = hits / K / len(questions)
    found.ndcg = gains / len(questions) if contender.reads_words else None


def _show(size: int, found: dict[str, Measured]) -> None:
    table = Table(title=f"A company of {size:,} chunks, k = {K}, query vector at hand")
    table.add_column("")
    for heading in ("p50, ms", "p95, ms", "Ateneo's p50 is", "dense recall@10", "nDCG@10"):
        table.add_column(heading, justify="right")
    own = next(iter(found.values())).p50
    for name, one in found.items():
        ndcg = "" if one.ndcg is None else f"{one.ndcg:.3f}"
        table.add_row(name, f"{one.p50:.2f}", f"{one.p95:.2f}", f"{own / one.p50:.2f}x", f"{one.recall:.3f}", ndcg)
    stage.console.print(table)
    stage.console.print()


if __name__ == "__main__":
    main(sys.argv[1:])
