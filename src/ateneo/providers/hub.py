"""Models of a Hugging Face hub: what one has, and its files, each compared with the sum that the hub gives."""

import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any, cast

from huggingface_hub import HfApi, ModelInfo, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

from ateneo.errors import HubError
from ateneo.i18n import tr
from ateneo.providers.model_folder import GRAPH, TOKENIZER
from ateneo.providers.sentence_folder import weights_named_by

PUBLIC = "https://huggingface.co"
MAIN = "main"

_DESCRIBING = {
    "README.md",
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer_config.json",
    TOKENIZER,
}
"""What `sentence_folder` reads, beside the configuration of the pooling."""
_CLIENT_ERROR = cast("type[Exception]", HfHubHTTPError.__mro__[1])
"""What the library's HTTP client raises; which client that is depends on the library's version."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """`sha256` of a large file, `blob` (git's own sum) of any other."""

    path: str
    size: int
    sha256: str | None
    blob: str | None

    @property
    def folder(self) -> str:
        return str(PurePosixPath(self.path).parent)


@dataclass(frozen=True, slots=True)
class HubModel:
    """`revision`: the commit that is meant, whatever happens to the branch meanwhile."""

    name: str
    revision: str
    license: str
    files: tuple[HubFile, ...]

    @property
    def graphs(self) -> list[HubFile]:
        """Its ONNX files, smallest first."""
        return sorted((one for one in self.files if one.path.endswith(".onnx")), key=lambda one: one.size)

    def graph(self, named: str | None) -> HubFile:
        """The one that is `named`, or the usual one. Raises HubError that names those there are."""
        wanted = [named] if named else [f"onnx/{GRAPH}", GRAPH]
        for path in wanted:
            if found := next((one for one in self.graphs if one.path == path), None):
                return found
        if not self.graphs:
            detail = tr(
                "no tiene un grafo ONNX; otros publican exportaciones (onnx-community/…), o exportalo con "
                "`optimum-cli export onnx --model NOMBRE CARPETA` y agregá la carpeta.",
                "it has no ONNX graph; others publish exports (onnx-community/…), or export it by "
                "`optimum-cli export onnx --model NAME FOLDER` and add the folder.",
            )
        else:
            there = ", ".join(one.path for one in self.graphs)
            detail = tr(f"no tiene {wanted[-1]}; elegí con --graph: {there}.",
                        f"it has no {wanted[-1]}; choose by --graph: {there}.")  # fmt: skip
        raise HubError(name=self.name, detail=detail)

    def needed(self, graph: HubFile) -> list[HubFile]:
        """What is read of the model, but for weights that stand beside the graph."""
        describing = [
            one
            for one in self.files
            if one.path in _DESCRIBING
            or one.path == f"{graph.folder}/{TOKENIZER}"
            or (one.path.endswith("/config.json") and "Pooling" in one.folder)
        ]
        return [*describing, graph]


class Hub:
    """A hub at `endpoint`. All calls block."""

    def __init__(self, endpoint: str | None = None, token: str | None = None) -> None:
        """`token` None: the one that the hub's own client has stored, if there is one."""
        self.endpoint = (endpoint or PUBLIC).rstrip("/")
        self._token = token
        self._api = HfApi(self.endpoint, token=token, library_name="ateneo", library_version=version("ateneo"))
        disable_progress_bars()
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)

    def look(self, name: str, revision: str = MAIN) -> HubModel:
        """What the model has now. Raises HubError."""
        with self._told(name, revision):
            found = self._api.model_info(name, revision=revision, files_metadata=True)
        if found.sha is None:
            raise HubError(name=name, detail=tr("el hub no dice su revisión.", "the hub does not tell its revision."))
        return HubModel(name, found.sha, _license(found), tuple(map(_file, found.siblings or ())))

    def download(self, model: HubModel, files: Sequence[HubFile], folder: Path) -> None:
        """Puts them into `folder`; what is there already stays, and what breaks off midway is gone on with. Raises
        HubError, also for a file that is not what the hub says it is."""
        for one in files:
            with self._told(model.name, model.revision):
                path = hf_hub_download(
                    model.name,
                    one.path,
                    revision=model.revision,
                    local_dir=folder,
                    endpoint=self.endpoint,
                    token=self._token,
                    library_name="ateneo",
                    library_version=version("ateneo"),
                )
            _compare(model.name, one, Path(path))

    def weights(self, model: HubModel, graph: HubFile, folder: Path) -> list[HubFile]:
        """The files that the graph, which is in `folder`, takes weights from. Raises HubError where one is missing."""
        there = {one.path: one for one in model.files}
        paths = [str(PurePosixPath(graph.folder) / one) for one in weights_named_by(folder / graph.path)]
        missing = [path for path in paths if path not in there]
        if missing:
            what = ", ".join(missing)
            detail = tr(f"{graph.path} toma pesos de {what}, que no está.",
                        f"{graph.path} takes weights from {what}, which is not there.")  # fmt: skip
            raise HubError(name=model.name, detail=detail)
        return [there[path] for path in paths]

    @contextmanager
    def _told(self, name: str, revision: str) -> Iterator[None]:
        """What the library raises as a HubError that says what to do."""
        try:
            yield
        except (HFValidationError, EntryNotFoundError, OSError, _CLIENT_ERROR) as error:
            raise HubError(name=name, detail=self._reason(error, name, revision)) from error

    def _reason(self, error: Exception, name: str, revision: str) -> str:
        page = f"{self.endpoint}/{name}"
        if isinstance(error, HFValidationError):
            return tr("así no se llama ningún modelo.", "no model has such a name.")
        if isinstance(error, GatedRepoError):
            return tr(
                f"pide aceptar sus condiciones en {page}, y HF_TOKEN con una clave de esa cuenta.",
                f"its terms must be accepted at {page}, and HF_TOKEN must hold a key of that account.",
            )
        if isinstance(error, RepositoryNotFoundError):
            return tr(
                f"no existe en {self.endpoint}, o es privado y falta HF_TOKEN.",
                f"it does not exist at {self.endpoint}, or is private and HF_TOKEN is missing.",
            )
        if isinstance(error, RevisionNotFoundError):
            return tr(f"no tiene la revisión «{revision}».", f"it has no revision “{revision}”.")
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is not None:
            return tr(f"{self.endpoint} respondió {status}.", f"{self.endpoint} answered {status}.")
        kind = type(error.__cause__ or error).__name__
        return tr(
            f"no se pudo bajar de {self.endpoint} ({kind}). Sin red: bajá la carpeta en otra máquina y agregala, o "
            "poné en HF_ENDPOINT un espejo. Lo ya bajado queda.",
            f"it could not be downloaded from {self.endpoint} ({kind}). Without a network: get the folder on another "
            "machine and add it, or set HF_ENDPOINT to a mirror. What was downloaded is kept.",
        )


def fetched(hub: Hub, model: HubModel, graph: HubFile, folder: Path, on_files: Callable[[int], None]) -> None:
    """Downloads what the model takes into `folder`. `on_files` is told how many bytes there are to come, once that is
    known anew. Raises HubError."""
    files = model.needed(graph)
    on_files(_size(files))
    hub.download(model, files, folder)
    weights = hub.weights(model, graph, folder)
    on_files(_size([*files, *weights]))
    hub.download(model, weights, folder)


def _size(files: Collection[HubFile]) -> int:
    return sum(one.size for one in files)


def _license(found: ModelInfo) -> str:
    card: Any = found.card_data
    told = None if card is None else card.get("license")
    named = None if card is None else card.get("license_name")
    return str(named or (", ".join(map(str, told)) if isinstance(told, list) else told or ""))


def _file(sibling: Any) -> HubFile:
    lfs = sibling.lfs
    return HubFile(sibling.rfilename, sibling.size or 0, None if lfs is None else lfs["sha256"], sibling.blob_id)


def _compare(name: str, expected: HubFile, path: Path) -> None:
    """Removes a file that is another than the hub says, so that the next try gets it anew. Raises HubError."""
    wanted = expected.sha256 or expected.blob
    as_git = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    found = _sum(path, hashlib.sha256() if expected.sha256 else as_git)
    if wanted not in (None, found):
        path.unlink()
        detail = tr(
            f"{expected.path} llegó dañado: su suma no es la que da el hub. Repetí el comando.",
            f"{expected.path} came damaged: its sum is not the one that the hub gives. Run the command again.",
        )
        raise HubError(name=name, detail=detail)


def _sum(path: Path, digest: Any) -> str:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return str(digest.hexdigest())
