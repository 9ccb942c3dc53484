"""How many of the passages that answer reach the agent within 1,000, 2,000 and 4,000 tokens? `build_context` against
the plain top-k (hits in their order until one does not fit), over the questions of examples/. Tokens by the bound that
agents use. `python -m benchmarks.context [FOLDER ...]` takes other question folders.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.table import Table

from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.generation import own_generation
from ateneo.embedding.service import EmbeddingService
from ateneo.evaluation.datasets import read_dataset
from ateneo.evaluation.loading import ANSWER, Judged, Loader
from ateneo.ingestion.service import IngestionService
from ateneo.ports import TokenCounter
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.search.context import build_context
from ateneo.search.service import VectorSearchService
from ateneo.search.token_estimate import TokenEstimate
from ateneo.types import Hit
from benchmarks import stage

BUDGETS = (1000, 2000, 4000)
K = 20

Chooser = Callable[[Sequence[Hit], TokenCounter, int], Sequence[Hit]]


def plain(hits: Sequence[Hit], counter: TokenCounter, budget: int) -> Sequence[Hit]:
    """The first hits, as long as they fit, each with its source line."""
    chosen: list[Hit] = []
    for number, hit in enumerate(hits, 1):
        [cost] = counter.count_tokens([f"[{number}] {hit.label} (fragmento {hit.chunk_id})\n{hit.contenido}\n\n"])
        if cost > budget:
            break
        budget -= cost
        chosen.append(hit)
    return chosen


def assembled(hits: Sequence[Hit], counter: TokenCounter, budget: int) -> Sequence[Hit]:
    return build_context(hits, counter, max_tokens=budget).hits


WAYS: dict[str, Chooser] = {"plain top-k": plain, "build_context": assembled}


def main() -> None:
    folders = [Path(name) for name in sys.argv[1:] if Path(name).is_dir()] or [Path("examples")]
    with stage.server() as url:
        for number, folder in enumerate(folders):
            asyncio.run(_measure(url, f"context{number}", folder))


async def _measure(server: str, name: str, folder: Path) -> None:
    embedding = EmbeddingService(LocalEmbedder(bundled_model_dir()))
    async with await Database.open(await stage.new_database(server, name)) as db:
        await own_generation(db, embedding)
        loader = Loader(db, IngestionService(db, embedding), Backfill(db, embedding))
        loaded = await loader.load(read_dataset(folder), lambda done, total: None)
        search = VectorSearchService(db, embedding)
        found = [(await search.search(one.empresa_id, one.text, K)).hits for one in loaded.questions]
    title = f"{loaded.name}: {len(found)} questions, {loaded.chunks} chunks; answering passage among the {K} found"
    table = Table("", *(f"{budget:,}" for budget in BUDGETS), "passages", "documents", title=title)
    pairs = list(zip(loaded.questions, found, strict=True))
    table.add_row("all found", *[f"{_share([_answered(one, hits) for one, hits in pairs]):.1f}"] * len(BUDGETS))
    for label, way in WAYS.items():
        table.add_row(label, *_row(way, pairs))
    stage.console.print(table)


def _row(way: Chooser, pairs: Sequence[tuple[Judged, Sequence[Hit]]]) -> list[str]:
    counter = TokenEstimate()
    cells, counts, documents = [], list[str](), list[str]()
    for budget in BUDGETS:
        chosen = [(one, way(hits, counter, budget)) for one, hits in pairs]
        cells.append(f"{_share([_answered(one, hits) for one, hits in chosen]):.1f}")
        counts.append(f"{sum(len(hits) for _, hits in chosen) / len(chosen):.1f}")
        documents.append(f"{sum(len({hit.document_id for hit in hits}) for _, hits in chosen) / len(chosen):.1f}")
    return [*cells, " / ".join(counts), " / ".join(documents)]


def _answered(question: Judged, hits: Sequence[Hit]) -> bool:
    wanted = question.answers or {one for one, grade in question.grades.items() if grade > 0} - {ANSWER}
    return any(hit.chunk_id in wanted for hit in hits)


def _share(flags: Sequence[bool]) -> float:
    return 100 * sum(flags) / len(flags)


if __name__ == "__main__":
    main()
