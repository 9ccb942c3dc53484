"""`ateneo eval answers`: measures what an agent says to questions whose answers are known, and to some without one."""

import asyncio
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from ateneo.agents.service import AgentService
from ateneo.cli import eval_screen as screen
from ateneo.cli.eval_answers_screen import show
from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson
from ateneo.cli.progress import stages
from ateneo.cli.runtime import end_on_sigterm
from ateneo.db.pool import Database
from ateneo.db.scratch import scratch_database
from ateneo.errors import BadArgument
from ateneo.evaluation.answers import AnswersReport, Questioner
from ateneo.evaluation.datasets import QuestionSet, read_dataset, read_unanswerable
from ateneo.evaluation.loading import Judged, Loader
from ateneo.factories.chat_models import agent_options, make_chat_model
from ateneo.factories.embedders import make_embedding_service
from ateneo.factories.ingestion import ingestion_options
from ateneo.factories.rerankers import search_options
from ateneo.i18n import tr
from ateneo.ingestion.service import IngestionService
from ateneo.operations.upgrade import upgrade_database
from ateneo.search.service import VectorSearchService
from ateneo.settings import Settings, load


async def answers(
    folder: Annotated[
        Path,
        typer.Argument(help=tr("Carpeta o archivo de preguntas JSONL.", "A folder, or a JSONL file of questions.")),
    ],
    limit: Annotated[
        int | None, typer.Option(min=1, help=tr("Solo las primeras de cada clase.", "Only the first of each sort."))
    ] = None,
    as_json: AsJson = False,
) -> None:
    settings = load()
    report = await _measured(folder, limit, settings, quiet=as_json)
    if as_json:
        print_json(report.as_json())
    else:
        show(report)


async def _measured(folder: Path, limit: int | None, settings: Settings, *, quiet: bool) -> AnswersReport:
    dataset = await asyncio.to_thread(read_dataset, folder, limit)
    if not isinstance(dataset, QuestionSet):
        rule = tr("hace falta un archivo de preguntas, no BEIR", "it takes a file of questions, not BEIR")
        raise BadArgument(name=tr("CARPETA", "FOLDER"), value=folder, rule=rule)
    without = await asyncio.to_thread(read_unanswerable, dataset.folder, limit)
    end_on_sigterm()
    async with scratch_database(settings.own_session_url) as db:
        return await _asked(db, dataset, without, settings, quiet=quiet)


async def _asked(
    db: Database, dataset: QuestionSet, without: tuple[tuple[str, str, str], ...], settings: Settings, *, quiet: bool
) -> AnswersReport:
    async with make_embedding_service(settings) as embedding:
        chat = make_chat_model(settings, embedding)
        try:
            screen.intention(embedding, [dataset.name])
            if chat.writes:
                screen.billed(f"{chat.provider}/{chat.model}")
            await upgrade_database(db, embedding, lambda *_: None)
            search = VectorSearchService(db, embedding, **search_options(settings))
            agent = AgentService(search, chat, **agent_options(settings))
            loader = Loader(db, IngestionService(db, embedding, **ingestion_options(settings)), None)
            with stages(quiet=quiet) as stage:
                loaded = await loader.load(dataset, stage(tr("carga", "loading")))
                screen.loaded(dataset, loaded)
                nowhere = [
                    Judged(one, text, loaded.companies[empresa_id], {})
                    for one, empresa_id, text in without
                    if empresa_id in loaded.companies
                ]
                questioner = Questioner(agent, remote=chat.writes)
                replied = await questioner.ask(loaded, nowhere, stage(tr("preguntas", "questions")))
        finally:
            await chat.close()
    return AnswersReport(
        version=version("ateneo"),
        dataset=dataset.name,
        provider=chat.provider,
        model=chat.model,
        embedder=f"{embedding.provider}/{embedding.model}",
        questions=replied,
    )
