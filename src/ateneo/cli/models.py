"""`ateneo models`: the local embedding models that are installed."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from ateneo.cli.json_output import print_json
from ateneo.cli.models_hub import downloaded, is_hub_name
from ateneo.cli.options import AsJson
from ateneo.cli.output import Column, facts, table
from ateneo.cli.runtime import err, out
from ateneo.cli.usage import Commands
from ateneo.embedding import local_models
from ateneo.embedding.local_models import Installed, SelfTest
from ateneo.errors import ModelError
from ateneo.i18n import count, number, size, tr
from ateneo.providers.local import bundled_model_dir
from ateneo.providers.model_folder import Pooling
from ateneo.settings import Settings, load

app = Commands()

_ENOUGH_SPANISH = 5


@app.command("list", help=tr("Los modelos instalados.", "The installed models."))
async def list_(as_json: AsJson = False) -> None:
    settings = load()
    there = await asyncio.to_thread(local_models.installed, _models_dir(settings))
    if as_json:
        print_json([_facts(model, settings) for model in there])
        return
    columns: list[Column[Installed]] = [
        Column(tr("modelo", "model"), lambda one: one.name),
        Column(tr("dimensiones", "dimensions"), lambda one: _figure(one.manifest.dims), right=True),
        Column(tr("ventana", "window"), lambda one: _figure(one.manifest.max_tokens), right=True),
        Column(tr("tamaño", "size"), lambda one: size(one.size), right=True),
        Column("", lambda one: _marks(one, settings)),
    ]
    out.print(table(there, columns, pad_edge=False))
    if not any(_in_use(model, settings) for model in there):
        what = settings.model_dir if _is_local(settings) else _service(settings)
        out.print(tr(f"En uso: {what}.", f"In use: {what}."), style="dim")


@app.command(help=tr("Todo lo que se sabe de un modelo.", "All that is known of a model."))
async def describe(
    model: Annotated[
        str | None,
        typer.Argument(
            help=tr("Nombre o carpeta; si falta, el que se usa.", "Name or folder; default: the one in use.")
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    settings = load()
    name = model or str(settings.model_dir or bundled_model_dir())
    found = await asyncio.to_thread(local_models.find, name, _models_dir(settings))
    if as_json:
        print_json(_facts(found, settings))
    else:
        _show(found, settings)


@app.command(help=tr("Compara los archivos con su sha256.", "Compares the files with their sha256."))
async def verify(
    model: Annotated[
        str | None, typer.Argument(help=tr("Nombre o carpeta; si falta, todos.", "Name or folder; default: all."))
    ] = None,
) -> int:
    models_dir = _models_dir(load())
    found = await asyncio.to_thread(
        lambda: [local_models.find(model, models_dir)] if model else local_models.installed(models_dir)
    )
    broken = False
    for one in found:
        try:
            files = await asyncio.to_thread(local_models.verify, one)
        except ModelError as error:
            broken = True
            out.print(f"✗ {one.name}: {error.fields['detail']}", style="red")
        else:
            what = tr(
                count(files, "archivo, igual a su sha256", "archivos, iguales a su sha256"),
                count(files, "file, equal to its sha256", "files, equal to their sha256"),
            )
            nothing = tr("su carpeta no dice con qué sha256 comparar", "its folder names no sha256 to compare with")
            out.print(f"✓ {one.name}: {what}." if files else f"! {one.name}: {nothing}.")
    return int(broken)


@app.command(
    help=tr(
        "Instala un modelo ONNX de sentence-transformers, de una carpeta o del hub de Hugging Face "
        "(intfloat/multilingual-e5-base), después de probarlo. Lee de sus archivos dimensiones, ventana, promediado y "
        "prefijos.",
        "Installs an ONNX sentence-transformers model, of a folder or of the Hugging Face hub "
        "(intfloat/multilingual-e5-base), once it is tested. Reads dimensions, window, pooling and prefixes from its "
        "files.",
    )
)
async def add(
    model: Annotated[
        str, typer.Argument(help=tr("Su carpeta, o DUEÑO/NOMBRE en el hub.", "Its folder, or OWNER/NAME at the hub."))
    ],
    name: Annotated[str | None, typer.Option(help=tr("Otro nombre.", "Another name."))] = None,
    graph: Annotated[
        str | None, typer.Option(help=tr("Archivo ONNX dentro de la carpeta.", "ONNX file inside the folder."))
    ] = None,
    revision: Annotated[
        str, typer.Option(help=tr("Rama, etiqueta o commit en el hub.", "Branch, tag or commit at the hub."))
    ] = "main",
    dims: Annotated[
        int | None,
        typer.Option(
            min=1, help=tr("Corta sus vectores, si es Matryoshka.", "Cuts its vectors, where it is Matryoshka.")
        ),
    ] = None,
    query_prefix: Annotated[
        str | None, typer.Option(help=tr("Lo que va antes de cada pregunta.", "Goes before each question."))
    ] = None,
    passage_prefix: Annotated[
        str | None, typer.Option(help=tr("Lo que va antes de cada pasaje.", "Goes before each passage."))
    ] = None,
    pooling: Annotated[
        Pooling | None,
        typer.Option(help=tr("Cómo de tokens sale un vector, si no consta.", "How tokens become a vector, if unsaid.")),
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=8, help=tr("Ventana, en tokens.", "Window, in tokens."))] = None,
    dense_weight: Annotated[
        float | None,
        typer.Option(min=0, max=1, help=tr("Su peso en la búsqueda híbrida.", "Its weight in hybrid search.")),
    ] = None,
) -> None:
    told = {
        "name": name,
        "query_prefix": query_prefix,
        "passage_prefix": passage_prefix,
        "pooling": pooling,
        "max_tokens": max_tokens,
        "truncate_dims": dims,
        "dense_weight": dense_weight,
    }
    settings = load()
    changes: dict[str, Any] = {field: value for field, value in told.items() if value is not None}
    models_dir = _models_dir(settings)
    if is_hub_name(model):
        changes.setdefault("name", model.rsplit("/", 1)[-1])
        local_models.free_place(changes["name"], models_dir)
        async with downloaded(settings, models_dir, model, revision, graph) as there:
            changes["sources"] = (there.origin,)
            added, tested = await local_models.add(there.folder, models_dir, graph=there.graph, changes=changes)
    else:
        added, tested = await local_models.add(Path(model), models_dir, graph=graph, changes=changes)
    _show(added, settings)
    if tested.guessed:
        err.print(
            tr(
                "Sus archivos no dicen cómo de tokens sale un vector: mirá su ficha, y si es de otro modo, --pooling.",
                "Its files do not say how tokens become a vector: see its card, and if it is another way, --pooling.",
            ),
            style="yellow",
        )
    _judge(tested)
    out.print(tr("Para usarlo:", "To use it:"))
    out.print(f"  ATENEO_EMBEDDING_PROVIDER=local ATENEO_MODEL_DIR={added.folder}", soft_wrap=True)
    out.print(
        tr(
            "Su peso en la búsqueda híbrida se calibra con tus preguntas:\n  ateneo eval retrieval --calibrate",
            "Calibrate its weight in hybrid search on your own questions:\n  ateneo eval retrieval --calibrate",
        )
    )


def _marks(model: Installed, settings: Settings) -> str:
    marks = [tr("incluido", "bundled")] if model.bundled else []
    return ", ".join([*marks, tr("en uso", "in use")] if _in_use(model, settings) else marks)


def _figure(value: int | None) -> str:
    return "?" if value is None else number(value)


def _show(model: Installed, settings: Settings) -> None:
    manifest = model.manifest
    unknown = tr("lo dice el grafo", "as the graph says")
    window = "? tokens" if manifest.max_tokens is None else count(manifest.max_tokens, "token", "tokens")
    rows = {
        tr("carpeta", "folder"): str(model.folder),
        tr("tamaño", "size"): size(model.size),
        tr("dimensiones", "dimensions"): unknown if manifest.dims is None else number(manifest.dims),
        tr("ventana", "window"): tr(
            f"{window}; los textos más largos se parten y se promedian",
            f"{window}; longer texts are split and averaged",
        ),
        tr("promediado", "pooling"): _poolings().get(manifest.pooling or "", unknown),
        tr("longitud", "length"): tr("los vectores se normalizan a 1", "vectors are normalised to 1"),
        tr("prefijos", "prefixes"): _prefixes(model),
        tr("desconocidas", "unknown"): tr(
            "palabras que se leen por su significado, o a una letra de otra",
            "words are read by their meaning, or as one a letter away",
        )
        if manifest.unknown_words
        else "",
        tr("peso híbrido", "hybrid weight"): number(manifest.dense_weight, None),
        tr("licencia", "licence"): manifest.license or tr("no consta", "not stated"),
        tr("fuentes", "sources"): "\n".join(
            f"{source.name} ({source.license})" if source.license else source.name for source in manifest.sources
        ),
        "sha256": "\n".join(f"{file}  {digest[:16]}…" for file, digest in manifest.sha256.items()),
        tr("en uso", "in use"): tr("sí", "yes") if _in_use(model, settings) else "no",
    }
    out.print(model.name, style="bold")
    out.print(facts(rows))


def _judge(tested: SelfTest) -> None:
    right = f"{tested.spanish}/{tested.spanish_of}"
    out.print(
        tr(
            f"Prueba: preguntas en español más cerca de su respuesta, {right}.",
            f"Test: questions in Spanish nearer to their answer, {right}.",
        )
    )
    if tested.spanish < _ENOUGH_SPANISH:
        err.print(
            tr(
                "Este modelo apenas entiende español, o le faltan sus prefijos.",
                "This model hardly reads Spanish, or lacks its prefixes.",
            ),
            style="yellow",
        )


def _facts(model: Installed, settings: Settings) -> dict[str, Any]:
    return {
        "folder": str(model.folder),
        "bytes": model.size,
        "bundled": model.bundled,
        "in_use": _in_use(model, settings),
        **model.manifest.model_dump(mode="json"),
    }


def _poolings() -> dict[str, str]:
    return {
        "in_graph": tr("dentro del grafo", "inside the graph"),
        "mean": tr("la media de los tokens", "the mean of the tokens"),
        "cls": tr("el primer token", "the first token"),
        "last": tr("el último token", "the last token"),
    }


def _prefixes(model: Installed) -> str:
    query, passage = model.manifest.query_prefix, model.manifest.passage_prefix
    if not query and not passage:
        return tr("ninguno", "none")
    return tr(f"pregunta «{query}», pasaje «{passage}»", f"question “{query}”, passage “{passage}”")


def _in_use(model: Installed, settings: Settings) -> bool:
    folder = settings.model_dir or bundled_model_dir()
    return _is_local(settings) and model.folder.resolve() == folder.resolve()


def _is_local(settings: Settings) -> bool:
    provider = settings.embedding_provider
    return provider == "local" or (provider == "auto" and settings.openai_api_key is None)


def _service(settings: Settings) -> str:
    name = settings.embedding_provider
    return "OpenAI" if name in ("auto", "openai") else name.capitalize()


def _models_dir(settings: Settings) -> Path:
    return settings.models_dir.expanduser()
