"""Embeddings on this machine: an ONNX model folder, run by ONNX Runtime. No network, no price."""

import asyncio
import hashlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Encoding

from ateneo.errors import ModelError
from ateneo.i18n import tr
from ateneo.providers.model_folder import MANIFEST, Manifest, Model, Pooling
from ateneo.providers.query_threads import in_thread
from ateneo.types import Embedded, Kind, Limits, Matrix

BUNDLED = "e5-es-v3"
FORMER = ("minilm-es-v2",)
"""Bundled before: for databases that have their vectors."""

_MAX_TOKENS_PER_TEXT = 8192
_MOST_TEXTS = 64
"""A call; no more is gained by longer ones, and whoever comes later waits for less."""
_NICENESS_OF_BATCHES = 10
_PADDED_TOKENS_PER_RUN = 2048
_ROWS_PER_RUN = 16


def bundled_model_dir() -> Path:
    """The folder of the model that comes with Ateneo."""
    return bundled_model_dirs()[0]


def bundled_model_dirs() -> list[Path]:
    """The folders of all models that come with Ateneo, the one for new databases first."""
    models = Path(__file__).resolve().parents[1] / "models"
    return [models / name for name in (BUNDLED, *FORMER)]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of one text that fits the model; `weight`: its tokens without the special ones."""

    text: int
    ids: list[int]
    weight: int


class LocalEmbedder:
    """The port Embedder on a folder with model.onnx, tokenizer.json and (optional) ateneo.json.

    A text longer than the model's window is split into windows; its vector is the mean of theirs, weighted by
    tokens. A small model runs one text a thread, tokenisation included: nothing is padded, and a text's vector does not
    depend on its company. A large one runs several texts at once with all threads. Nothing is loaded before the first
    use; threads and event loops may share one instance.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        """`threads` 0 is one a core. Raises ModelError that says what the folder lacks."""
        self._folder = folder
        self._threads = threads or _cores()
        self._manifest = Manifest.read(folder)
        self._dims = self._manifest.dims
        self._loaded: Model | None = None
        self._workers: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"LocalEmbedder(model={self.model!r}, dims={self.dims})"

    @property
    def provider(self) -> str:
        return "local"

    @property
    def model(self) -> str:
        return self._manifest.name

    @property
    def dims(self) -> int | None:
        return self._dims

    @property
    def pooling(self) -> Pooling | None:
        """As it is done once the graph is loaded; before, as the manifest says."""
        return self._loaded.pooling if self._loaded else self._manifest.pooling

    @property
    def limits(self) -> Limits:
        return Limits(inputs=_MOST_TEXTS, tokens=65_536, tokens_per_input=_MAX_TOKENS_PER_TEXT)

    @property
    def dense_weight(self) -> float:
        return self._manifest.dense_weight

    @property
    def price(self) -> float | None:
        return 0.0

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text without the special ones that frame a window."""
        encodings = self._model().encode(texts)
        return [sum(part.special_tokens_mask.count(0) for part in _parts(encoding)) for encoding in encodings]

    def truncate(self, text: str) -> str:
        """The text itself up to 8,192 tokens (it is split into windows), its beginning beyond that."""
        [encoding] = self._model().encode([text])
        ends = [end for part in _parts(encoding) for end in _content_ends(part)]
        return text if len(ends) <= _MAX_TOKENS_PER_TEXT else text[: ends[_MAX_TOKENS_PER_TEXT - 1]]

    async def embed(self, texts: Sequence[str], kind: Kind = "passage") -> Embedded:
        """Unit vectors (n, dims) in the order of `texts`, made in a thread. Raises ModelError."""
        return await in_thread(kind == "query", self._embed, texts, kind)

    async def close(self) -> None:
        """Lets go of the model and ends its threads; a later use loads it again."""
        with self._lock:
            workers, self._workers, self._loaded = self._workers, None, None
        if workers is not None:
            await asyncio.to_thread(workers.shutdown)

    def verify(self) -> None:
        """Compares each file with the manifest's sha256. Raises ModelError for the first that differs."""
        for name, expected in self._manifest.sha256.items():
            path = self._folder / name
            if not path.is_file():
                raise ModelError(folder=self._folder, detail=tr(f"falta {name}.", f"{name} is missing."))
            found = sha256_of(path)
            if found != expected:
                detail = tr(f"{name} no es el que dice {MANIFEST}", f"{name} is not the one that {MANIFEST} names")
                raise ModelError(folder=self._folder, detail=f"{detail} (sha256 {found[:12]}…).")

    def _model(self) -> Model:
        with self._lock:
            if self._loaded is None:
                self._loaded = Model(self._folder, self._manifest, self._threads)
                self._dims = self._loaded.dims
            return self._loaded

    def _pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._workers is None:
                self._workers = ThreadPoolExecutor(self._threads, "ateneo-embed", initializer=_yield_to_queries)
            return self._workers

    def _embed(self, texts: Sequence[str], kind: Kind) -> Embedded:
        model = self._model()
        prefix = self._manifest.query_prefix if kind == "query" else self._manifest.passage_prefix
        prefixed = [prefix + text for text in texts]
        if not model.small:
            return _embedded(model, prefixed)
        if len(texts) == 1:
            # not in the pool, where it would stand in line behind a batch
            return _embedded(model, prefixed)
        shares = list(self._pool().map(lambda text: _embedded(model, [text]), prefixed))
        vectors = [share.vectors for share in shares] or [np.zeros((0, model.dims), dtype=np.float32)]
        return Embedded(vectors=np.concatenate(vectors), tokens=sum(share.tokens for share in shares))


def _embedded(model: Model, texts: Sequence[str]) -> Embedded:
    """What `embed` gives, by the calling thread alone or, where the model is not small, by the network's threads."""
    windows = [
        _Window(text=number, ids=model.ids(part, text), weight=max(1, len(_content_ends(part))))
        for number, (text, encoding) in enumerate(zip(texts, model.encode(texts), strict=True))
        for part in _parts(encoding)
    ]
    windows.sort(key=lambda window: len(window.ids))
    sums = np.zeros((len(texts), model.dims), dtype=np.float32)
    for group in _runs(windows, rows=1 if model.small else _ROWS_PER_RUN):
        vectors = model.run([window.ids for window in group])
        weights = np.array([window.weight for window in group], dtype=np.float32)
        np.add.at(sums, [window.text for window in group], vectors * weights[:, None])
    return Embedded(vectors=_unit(sums), tokens=sum(window.weight for window in windows))


def _yield_to_queries() -> None:
    """Lowers this thread's priority: whoever searches waits for an answer. Only Linux has priorities a thread."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS_OF_BATCHES)


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _parts(encoding: Encoding) -> list[Encoding]:
    return [encoding, *encoding.overflowing]


def _content_ends(encoding: Encoding) -> list[int]:
    """Where each token ends in its text (characters), the special tokens left out."""
    pairs = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    return [end for (_, end), special in pairs if not special]


def _runs(windows: Sequence[_Window], rows: int) -> Iterator[list[_Window]]:
    """Groups up to `rows` neighbours, shortest first, so that little is padded and a run stays small in memory."""
    group: list[_Window] = []
    for window in windows:
        if group and (len(group) == rows or (len(group) + 1) * len(window.ids) > _PADDED_TOKENS_PER_RUN):
            yield group
            group = []
        group.append(window)
    if group:
        yield group


def _unit(vectors: Matrix) -> Matrix:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Matrix = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return unit
