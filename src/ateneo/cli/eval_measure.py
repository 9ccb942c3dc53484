"""What `ateneo eval` measures: datasets into a scratch database, and every question searched there."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ateneo.cli import eval_screen as screen
from ateneo.cli.progress import stages
from ateneo.cli.runtime import end_on_sigterm
from ateneo.db.scratch import scratch_database
from ateneo.embedding.backfill import Backfill
from ateneo.errors import BadArgument
from ateneo.evaluation.comparison import WEIGHTS
from ateneo.evaluation.datasets import Dataset, read_dataset
from ateneo.evaluation.loading import Loader
from ateneo.evaluation.report import Configuration, Report, Run
from ateneo.evaluation.runs import Runner
from ateneo.evaluation.variants import Variant
from ateneo.factories.embedders import make_embedding_service
from ateneo.factories.ingestion import ingestion_options
from ateneo.factories.rerankers import search_options
from ateneo.i18n import tr
from ateneo.ingestion.service import IngestionService
from ateneo.operations.upgrade import upgrade_database
from ateneo.search.service import VectorSearchService
from ateneo.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked on the command line. `sides` are the A and B of `--compare`, or none."""

    folders: tuple[Path, ...]
    configuration: Configuration
    variants: tuple[Variant, ...]
    k: int
    limit: int | None = None
    titles: bool = False
    as_json: bool = False
    sides: tuple[Configuration | Report, ...] = ()
    calibrate: bool = False
    plot: Path | None = None


async def read_datasets(options: Options) -> list[Dataset]:
    """Raises DatasetInvalid, BadArgument where two have one name."""
    datasets = [await asyncio.to_thread(read_dataset, path, options.limit) for path in options.folders]
    names = [one.name for one in datasets]
    if len(set(names)) < len(names):
        rule = tr("dos se llaman igual", "two have the same name")
        raise BadArgument(name=tr("CARPETA", "FOLDER"), value=", ".join(names), rule=rule)
    return datasets


async def measured(datasets: Sequence[Dataset], options: Options, settings: Settings) -> Report:
    """Raises ProviderError, DatabaseError."""
    end_on_sigterm()
    async with make_embedding_service(settings) as embedding:
        screen.intention(embedding, [one.name for one in datasets])
        async with scratch_database(settings.own_session_url) as db:
            await upgrade_database(db, embedding, lambda *_: None)
            search = VectorSearchService(db, embedding, **search_options(settings))
            runs = await _runs(datasets, options, settings, search)
    return Report(
        version=version("ateneo"),
        provider=embedding.provider,
        model=embedding.model,
        dense_weight=search.dense_weight,
        k=options.k,
        runs=tuple(runs),
    )


async def _runs(
    datasets: Sequence[Dataset], options: Options, settings: Settings, search: VectorSearchService
) -> list[Run]:
    db, embedding = search.db, search.embedding
    configurations = _configurations(options, search.dense_weight)
    by_meaning = any(one.mode != "lexical" for one in configurations)
    backfill = Backfill(db, embedding)
    loader = Loader(
        db,
        IngestionService(db, embedding, **ingestion_options(settings)),
        backfill if by_meaning else None,
        titles=options.titles,
    )
    runner = Runner(search, k=options.k)
    runs: list[Run] = []
    with stages(quiet=options.as_json) as stage:
        for dataset in datasets:
            loaded = await loader.load(dataset, stage(tr(f"{dataset.name}: carga", f"{dataset.name}: loading")))
            screen.loaded(dataset, loaded)
            for variant in options.variants:
                runs += await runner.run(loaded, variant, configurations, stage(f"{dataset.name}: {variant}"))
    return runs


def _configurations(options: Options, current: float) -> list[Configuration]:
    """What is to be run: the sides of a comparison that are not saved results, the weights to try, or the one asked."""
    if options.calibrate:
        return [Configuration("hybrid", weight) for weight in sorted({*WEIGHTS, current})]
    return [side for side in options.sides if isinstance(side, Configuration)] or [options.configuration]
