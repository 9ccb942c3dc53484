"""The local models of this installation: the bundled one and those added to a folder of models."""

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ateneo.errors import BadArgument, ModelError
from ateneo.i18n import tr
from ateneo.providers import sentence_folder
from ateneo.providers.local import LocalEmbedder, bundled_model_dirs, sha256_of
from ateneo.providers.model_folder import MANIFEST, Manifest, Pooling
from ateneo.types import Matrix
from ateneo.validation_messages import unreadable

_SAME = 0.98
"""Cosine of a text with itself in other company; eight-bit graphs that quantise by batch reach 0.99."""

_MEANING = (
    ("¿Cuándo me devuelven la plata?", "El reembolso se acredita en diez días.", "La reunión es en el segundo piso."),
    ("¿A qué hora abren?", "Atendemos de lunes a viernes desde las nueve.", "El motor lleva aceite sintético."),
    ("quiero darme de baja del servicio", "Cómo cancelar la suscripción", "Cómo preparar una ensalada"),
    ("síntomas de la gripe", "La influenza da fiebre, tos y dolor de cabeza.", "El tren sale de la estación central."),
    ("how to reset my password", "Para restablecer la contraseña, escribinos.", "Los tomates se riegan a diario."),
    ("licencia por nacimiento de un hijo", "Parental leave after a birth", "Replacing the printer's toner"),
)
"""A question, a passage that answers it and one that does not."""


@dataclass(frozen=True, slots=True)
class Installed:
    """`size`: bytes of all files of the folder."""

    folder: Path
    manifest: Manifest
    size: int
    bundled: bool = False

    @property
    def name(self) -> str:
        return self.manifest.name


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What a model showed when it was run; `spanish` of `spanish_of` questions lay nearer to their answer. `guessed`:
    neither its files nor its graph say what the pooling is."""

    dims: int
    pooling: Pooling | None
    spanish: int
    spanish_of: int
    guessed: bool = False


def installed(models_dir: Path) -> list[Installed]:
    """The bundled ones first, then those in `models_dir` by name. Raises ModelError for a broken manifest."""
    added = sorted(path.parent for path in models_dir.glob(f"[!.]*/{MANIFEST}"))
    return [described(folder) for folder in (*bundled_model_dirs(), *added)]


def described(folder: Path) -> Installed:
    """Raises ModelError where the folder is no model."""
    return Installed(
        folder=folder,
        manifest=Manifest.read(folder),
        size=sum(path.stat().st_size for path in folder.iterdir() if path.is_file()),
        bundled=folder in bundled_model_dirs(),
    )


def find(name: str, models_dir: Path) -> Installed:
    """An installed model by its name or its folder's. Raises BadArgument that lists those there are, ModelError."""
    there = installed(models_dir)
    for model in there:
        if name in (model.name, model.folder.name):
            return model
    if Path(name).is_dir():
        return described(Path(name))
    names = ", ".join(model.name for model in there)
    rule = tr(f"no está instalado ni es una carpeta; hay: {names}", f"not installed, nor a folder; there are: {names}")
    raise BadArgument(name="MODEL", value=name, rule=rule)


def verify(model: Installed) -> int:
    """Compares each file with the manifest's sha256; returns how many. Raises ModelError for one that differs."""
    LocalEmbedder(model.folder).verify()
    return len(model.manifest.sha256)


async def add(
    source: Path, models_dir: Path, *, graph: str | None = None, changes: Mapping[str, Any] | None = None
) -> tuple[Installed, SelfTest]:
    """Copies a model into `models_dir`, with a manifest read from its files, once it has passed the self-test.

    `graph`: the ONNX file inside `source`; `changes`: fields of the manifest that the user knows better. The copy has
    the manifest's name and appears at once or not at all. Raises ModelError, BadArgument.
    """
    known = dict(changes or {})
    found = await asyncio.to_thread(sentence_folder.read, source, graph, known.get("pooling"))
    manifest = found.manifest.model_copy(update=known | ({"dims": None} if "truncate_dims" in known else {}))
    target = free_place(manifest.name, models_dir)
    _check_shorter(manifest.truncate_dims, found.shorter)
    await asyncio.to_thread(_check_sums, source, found.files, manifest)
    partial = models_dir / f".{manifest.name}.partial"
    try:
        await asyncio.to_thread(_copy, found.files, manifest, partial)
        tested = await self_test(partial)
        tested = replace(tested, guessed=manifest.pooling is None and tested.pooling != "in_graph")
        manifest = Manifest.read(partial).model_copy(update={"dims": tested.dims, "pooling": tested.pooling})
        _write(manifest, partial)
        partial.rename(target)
    except OSError as error:
        raise BadArgument(name="ATENEO_MODELS_DIR", value=models_dir, rule=unreadable(error)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return described(target), tested


def free_place(name: str, models_dir: Path) -> Path:
    """The folder for a new model of that name. Raises BadArgument where it cannot be."""
    target = models_dir / name
    rule = ""
    if not _is_folder_name(name):
        rule = tr("no sirve como nombre de carpeta", "cannot be the name of a folder")
    elif name in [described(folder).name for folder in bundled_model_dirs()]:
        rule = tr("así se llama un modelo incluido; usá --name", "a bundled model is called that; use --name")
    elif target.exists():
        rule = tr(
            f"ya está instalado; borrá {target} o usá --name", f"installed already; remove {target} or use --name"
        )
    if rule:
        raise BadArgument(name="--name", value=name, rule=rule)
    return target


def _check_shorter(asked: int | None, allowed: tuple[int, ...] | None) -> None:
    if asked is None or allowed == () or (allowed and asked in allowed):
        return
    if allowed is None:
        rule = tr(
            "sus archivos no dicen que sus vectores se puedan cortar",
            "its files do not say that its vectors may be cut",
        )
    else:
        there = ", ".join(map(str, allowed))
        rule = tr(f"sus vectores se cortan a {there}", f"its vectors are cut to {there}")
    raise BadArgument(name="--dims", value=asked, rule=rule)


async def self_test(folder: Path) -> SelfTest:
    """Runs the model. Raises ModelError where a text's vector depends on its company, or all are alike."""
    embedder = LocalEmbedder(folder)
    questions, right, wrong = zip(*_MEANING, strict=True)
    asked = (await embedder.embed(questions, "query")).vectors
    near, far = (await embedder.embed([*right, *wrong])).vectors.reshape(2, len(right), -1)
    alone = np.concatenate([(await embedder.embed([text])).vectors for text in right])
    pooling = embedder.pooling
    await embedder.close()
    if not all(np.isfinite(vectors).all() for vectors in (asked, near, far)):
        raise ModelError(folder=folder, detail=tr("da NaN o infinito.", "it gives NaN or infinity."))
    if _cosines(near, alone).min() < _SAME:
        detail = tr(
            "el vector de un texto cambia con los textos que lo acompañan: el relleno entra en la cuenta.",
            "a text's vector changes with the texts beside it: the padding is counted in.",
        )
        raise ModelError(folder=folder, detail=detail)
    if _cosines(near[:-1], near[1:]).min() > _SAME:
        raise ModelError(
            folder=folder, detail=tr("textos distintos le dan lo mismo.", "different texts are the same to it.")
        )
    nearer = _cosines(asked, near) > _cosines(asked, far)
    return SelfTest(dims=asked.shape[1], pooling=pooling, spanish=int(nearer.sum()), spanish_of=len(nearer))


def _cosines(some: Matrix, others: Matrix) -> Matrix:
    products: Matrix = np.einsum("ij,ij->i", some, others)
    return products


def _is_folder_name(name: str) -> bool:
    return name not in ("", ".", "..") and Path(name).name == name and not name.startswith(".")


def _check_sums(source: Path, files: Mapping[str, Path], manifest: Manifest) -> None:
    for name, path in files.items():
        if manifest.sha256.get(name, "") not in ("", sha256_of(path)):
            detail = tr(f"{name} no es el archivo del que {MANIFEST} da el sha256.",
                        f"{name} is not the file whose sha256 {MANIFEST} gives.")  # fmt: skip
            raise ModelError(folder=source, detail=detail)


def _copy(files: Mapping[str, Path], manifest: Manifest, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name, path in files.items():
        shutil.copyfile(path, target / name)
    _write(manifest.model_copy(update={"sha256": {name: sha256_of(target / name) for name in files}}), target)


def _write(manifest: Manifest, folder: Path) -> None:
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
