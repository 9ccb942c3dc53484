"""`ateneo embeddings`: another embedding model, without a break for anybody who searches."""

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ateneo.cli import embeddings_screen as screen
from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, OneEmpresa, Yes
from ateneo.cli.progress import step
from ateneo.cli.runtime import confirmed, note
from ateneo.cli.usage import Commands
from ateneo.db import generations
from ateneo.db.pool import Database
from ateneo.embedding import legacy_column
from ateneo.embedding import switch as change
from ateneo.embedding.current_model import Model, Models
from ateneo.embedding.service import EmbeddingService
from ateneo.embedding.switch import Plan, Switch
from ateneo.errors import SwitchRefused
from ateneo.evaluation import side_by_side
from ateneo.evaluation.datasets import open_questions
from ateneo.evaluation.side_by_side import SideBySide
from ateneo.factories.databases import open_database
from ateneo.factories.embedders import make_models, new_model
from ateneo.i18n import percent, tr
from ateneo.search.service import VectorSearchService
from ateneo.settings import Settings, load
from ateneo.types import Generation

app = Commands()

_QUESTIONS = Annotated[
    Path | None, typer.Option("--questions", help=tr("Preguntas propias, JSONL.", "Questions of your own, JSONL."))
]
_SAMPLE = Annotated[
    int,
    typer.Option(
        "--sample", min=1, max=5000, help=tr("Sin archivo: cuántas, al azar.", "Without a file: how many, by chance.")
    ),
]
_MIN_RECALL = Annotated[
    float,
    typer.Option(
        "--min-recall", min=0, max=1, help=tr("Recall mínimo respecto del actual.", "Least recall, to the present.")
    ),
]


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked of `switch`."""

    dry_run: bool
    prepare: bool
    yes: bool
    force: bool
    questions: Path | None
    sample: int
    min_recall: float


@app.command(
    help=tr(
        "Cambia de modelo sin cortes: plan, llenado, índices, comparación y cambio. Interrumpido, sigue donde estaba.",
        "Changes the model without a break: plan, fill, indexes, comparison, switch. Interrupted, it goes on.",
    )
)
async def switch(
    provider: Annotated[
        str | None, typer.Option(help=tr("local u openai (y compatibles).", "local or openai (and compatible)."))
    ] = None,
    model: Annotated[str | None, typer.Option(help=tr("Nombre del modelo.", "The model's name."))] = None,
    dimensions: Annotated[
        int | None, typer.Option(min=1, max=4000, help=tr("Pide vectores más cortos.", "Asks for shorter vectors."))
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help=tr("Solo muestra el plan.", "Only shows the plan."))
    ] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help=tr("Todo menos el cambio.", "Everything but the switch."))
    ] = False,
    questions: _QUESTIONS = None,
    sample: _SAMPLE = 100,
    min_recall: _MIN_RECALL = 0.95,
    force: Annotated[
        bool, typer.Option("--force", help=tr("Cambia aunque compare mal.", "Switches though it compares badly."))
    ] = False,
    yes: Yes = False,
) -> int:
    settings = load()
    options = Options(dry_run, prepare, yes, force, questions, sample, min_recall)
    async with await open_database(settings) as db:
        target = await _target(db, settings, provider, model, dimensions)
        async with target.models:
            return await _switch(db, settings, target, options)


@app.command(help=tr("Muestra los modelos que hay y cómo van.", "Shows the models there are and how they go."))
async def status(as_json: AsJson = False) -> None:
    settings = load()
    async with await open_database(settings) as db, make_models(settings) as models:
        found = await change.status(db, models)
    if as_json:
        print_json([_plain(one) for one in found])
    else:
        screen.status(found)


@app.command(help=tr("Compara el modelo activo con el otro.", "Compares the active model with the other one."))
async def compare(
    questions: _QUESTIONS = None,
    sample: _SAMPLE = 100,
    empresa_id: OneEmpresa = None,
    k: Annotated[int, typer.Option("--k", min=1, max=100, help=tr("Corte.", "Cut-off."))] = 10,
    as_json: AsJson = False,
) -> None:
    settings = load()
    async with await open_database(settings) as db, make_models(settings) as models:
        before, after = await _both(db, models)
        found = await _compared(db, before, after, questions, sample, empresa_id=empresa_id, k=k, quiet=as_json)
    if as_json:
        print_json([_comparison(one) for one in found])
    else:
        screen.comparison(found, before.generation, after.generation)


@app.command(help=tr("Vuelve al modelo anterior, en el acto.", "Goes back to the model before, at once."))
async def rollback(yes: Yes = False) -> int:
    settings = load()
    async with await open_database(settings) as db, make_models(settings) as models, change.alone(db):
        kept = await generations.searchable(db)
        if len(kept) > 1 and not yes and not confirmed(screen.back_question(kept[0], kept[1])):
            return 1
        left, returned = await change.rollback(db)
        screen.rolled_back(left, returned)
        await _complete(db, models, returned)
    return 0


@app.command(help=tr("Borra los modelos anteriores y lo suyo.", "Deletes the models before, and all that is theirs."))
async def prune(
    generation: Annotated[
        int | None, typer.Option(help=tr("Solo esta; también una sin terminar.", "This one; also one not finished."))
    ] = None,
    yes: Yes = False,
) -> int:
    settings = load()
    async with await open_database(settings) as db, change.alone(db):
        targets = await change.prunable(db, generation)
        screen.prunable(targets)
        if targets and not yes and not confirmed(tr("¿Borrar?", "Delete?")):
            return 1
        return screen.pruned(targets, done=await change.prune(db, targets))


# --- switch -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """The model to switch to: the settings' models, among them this one, and how many dimensions were asked of it."""

    models: Models
    embedding: EmbeddingService
    asked_dims: int | None


async def _target(
    db: Database, settings: Settings, provider: str | None, model: str | None, dimensions: int | None
) -> Target:
    """Named, or else the one that a switch was begun to: filling, or active with the guide's column still to follow."""
    models = make_models(settings)
    if provider is not None or model is not None:
        embedding = new_model(settings, provider, model, dimensions)
        return Target(Models(embedding, models.of), embedding, dimensions)
    kept = await generations.all_generations(db)
    begun = next((one for one in kept if one.state == "filling"), None)
    begun = begun or next((one for one in kept if one.active and not one.legacy), None)
    if begun is None:
        raise SwitchRefused(
            detail=tr("No hay un cambio empezado que seguir.", "No switch was begun that could go on."),
            remedy=tr(
                "Para empezar uno: ateneo embeddings switch --provider openai --model NOMBRE",
                "To begin one: ateneo embeddings switch --provider openai --model NAME",
            ),
        )
    found = models.of(begun)
    if found is None:
        raise change.out_of_reach(begun)
    return Target(models, found, begun.asked_dims)


async def _switch(db: Database, settings: Settings, target: Target, options: Options) -> int:
    work = Switch(
        db,
        target.embedding,
        asked_dims=target.asked_dims,
        concurrency=settings.embedding_concurrency,
        lease_s=settings.lease_s,
    )
    threshold = settings.hnsw_threshold
    if not options.dry_run:
        await change.refuse_second(db)
    with step(tr("Mirando qué hay que hacer", "Looking at what there is to do")) as tell:
        plan = await work.plan(threshold=threshold, count_tokens=target.embedding.price != 0, on_count=tell)
    screen.plan(plan, yes=options.yes)
    if options.dry_run:
        return 0
    if not plan.done and not options.yes and not confirmed(tr("¿Continuar?", "Continue?")):
        return 1
    async with change.alone(db), screen.resumable():
        generation = await work.begin()
        if not generation.active:
            await _prepare(work, generation, plan, threshold)
            found = await _judge(db, target, generation, options)
            screen.comparison(found, plan.active, generation)
            _refuse_worse(found, options)
            if options.prepare:
                screen.prepared()
                return 0
            with step(tr("Últimos cambios", "Latest edits")):
                await work.activate(generation, force=options.force)
        return await _settle(db, generation)


async def _prepare(work: Switch, generation: Generation, plan: Plan, threshold: int) -> None:
    with step(tr("Embeddings", "Embeddings")) as tell:
        filled = await work.fill(generation, lambda done: tell(done.processed + done.dead, plan.chunks))
    screen.filled(filled)
    screen.unpaid(await change.over_budget(work.db, generation.number), generation)
    with step(tr("Índices", "Indexes")) as tell:
        indexes = work.index(generation, threshold=threshold, on_progress=lambda _, how: tell(how.done, how.total))
        built = [tuned async for tuned in indexes]
    for tuned in built:
        screen.indexed(tuned)


async def _judge(db: Database, target: Target, generation: Generation, options: Options) -> list[SideBySide]:
    active = await generations.active(db)
    assert active is not None
    present = target.models.of(active)
    if present is None:
        raise change.out_of_reach(active)
    before, after = Model(active, present), Model(generation, target.embedding)
    return await _compared(db, before, after, options.questions, options.sample)


def _refuse_worse(found: list[SideBySide], options: Options) -> None:
    worse = [one for one in found if one.ratio is not None and one.ratio < options.min_recall]
    if worse and not options.force:
        raise SwitchRefused(
            detail=tr(
                f"El modelo nuevo encuentra menos de {percent(options.min_recall)} de lo que encuentra el actual.",
                f"The new model finds less than {percent(options.min_recall)} of what the present one finds.",
            ),
            remedy=tr(
                "No cambié nada. Mirá los peores casos; --force cambia igual, --questions mide con tus preguntas.",
                "Nothing was switched. See the worst cases; --force switches, --questions measures with your own.",
            ),
        )


async def _settle(db: Database, generation: Generation) -> int:
    """After the switch: the guide's column."""
    with step(tr("Columna knowledge_chunks.embedding", "Column knowledge_chunks.embedding")) as tell:
        refilled = await legacy_column.refill(db, tell)
    return screen.switched(generation, refilled)


async def _complete(db: Database, models: Models, generation: Generation) -> None:
    """After a way back: what it lacks, where its model is at hand, and the guide's column."""
    embedding = models.of(generation)
    if embedding is not None:
        with step(tr("Lo que le falta", "What it lacks")):
            await Switch(db, embedding).fill(generation)
    with step(tr("Columna knowledge_chunks.embedding", "Column knowledge_chunks.embedding")) as tell:
        screen.column(await legacy_column.refill(db, tell))


# --- comparison ---------------------------------------------------------------------------------------------------


async def _both(db: Database, models: Models) -> tuple[Model, Model]:
    """The active generation and the one that fills, or else the one before."""
    kept = await generations.all_generations(db)
    others = sorted((one for one in kept if not one.active), key=lambda one: (one.state == "filling", one.number))
    active = next((one for one in kept if one.active), None)
    if active is None or not others:
        raise SwitchRefused(
            detail=tr("Hay un solo modelo: no hay con qué comparar.", "There is only one model: nothing to compare."),
            remedy=tr(
                "Prepará otro con `ateneo embeddings switch --prepare`.", "`ateneo embeddings switch --prepare`."
            ),
        )
    pair = [Model(one, found) for one in (active, others[-1]) if (found := models.of(one)) is not None]
    if len(pair) < 2:
        raise change.out_of_reach(next(one for one in (active, others[-1]) if models.of(one) is None))
    return pair[0], pair[1]


async def _compared(
    db: Database,
    before: Model,
    after: Model,
    questions: Path | None,
    sample: int,
    *,
    empresa_id: str | None = None,
    k: int = 10,
    quiet: bool = False,
) -> list[SideBySide]:
    old = VectorSearchService(db, before.embedding, pinned=before)
    new = VectorSearchService(db, after.embedding, pinned=after)
    if questions is not None:
        own = [one for one in open_questions(questions) if empresa_id in (None, one.empresa_id)]
        asked = await side_by_side.judge_questions(old, own)
    else:
        asked = await side_by_side.sample_questions(db, empresa_id, sample)
    with step(tr("Comparando", "Comparing"), quiet=quiet) as tell:
        found = await side_by_side.compare_models(old, new, asked, k=k, on_question=tell)
    # the worst cases show a company's questions and passages to whoever operates the database
    shown = Counter(pair.asked.empresa_id for one in found for pair in one.worst)
    for company, cases in sorted(shown.items()):
        await note(db, company, "embeddings_compare", results=cases)
    return found


def _plain(one: change.Status) -> dict[str, Any]:
    filled = dataclasses.asdict(one.filled)
    more = {"missing": one.filled.missing, "at_hand": one.at_hand, "over_budget": one.over_budget}
    generation: dict[str, Any] = filled.pop("generation")
    return generation | filled | more | {"at_work": one.at_work}


def _comparison(one: SideBySide) -> dict[str, Any]:
    plain = dataclasses.asdict(dataclasses.replace(one, worst=(), origins={})) | {"origins": one.origins}
    plain["worst"] = [
        {
            "question": pair.asked.text,
            "empresa_id": pair.asked.empresa_id,
            "overlap": pair.overlap,
            "rank": [pair.before_rank, pair.after_rank],
            "chunk_ids": [[hit.chunk_id for hit in side] for side in (pair.before, pair.after)],
        }
        for pair in one.worst
    ]
    return plain
