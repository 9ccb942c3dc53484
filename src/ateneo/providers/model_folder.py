"""A folder with a model: what its manifest says, and the loaded thing that turns token ids into vectors."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as failures
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tokenizers import Encoding, Tokenizer

from ateneo.errors import ModelError
from ateneo.i18n import tr
from ateneo.providers.unknown_words import UnknownWords, WordReader
from ateneo.types import Matrix
from ateneo.validation_messages import broken_rule

MANIFEST = "ateneo.json"

GRAPH = "model.onnx"
TOKENIZER = "tokenizer.json"
USUAL_MAX_TOKENS = 512
ONNX_FAILURES = (
    failures.EPFail,
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
)

Ids = npt.NDArray[np.int64]
Pooling = Literal["in_graph", "mean", "cls", "last"]

_LARGE = 500_000_000
"""Bytes of the folder from which one question takes one thread too long (about 50 ms in eight bits)."""
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "position_ids"})
_INPUT_TYPES = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
_PAST = "past_key_values."
"""How a decoder's inputs begin that hold what it read before: here always nothing."""
_PAST_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_OUTPUTS = ("embedding", "sentence_embedding", "dense_vecs", "last_hidden_state", "token_embeddings")
"""By preference, as exporters name them: one vector a text, then one a token. Not the pooler_output beside these,
which only next sentence prediction has trained."""


class Origin(BaseModel):
    """A text or a model that a model was made from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    role: str = ""
    license: str = ""


class Manifest(BaseModel):
    """ateneo.json. A folder without it works where the graph and the tokeniser tell enough.

    `max_tokens`: the window, special tokens included. `pooling`: how token vectors become one; None looks at the graph
    (in it, where it gives one vector a text, else a decoder's last token, else the mean). `truncate_dims`: only so many
    first numbers of a vector, where the model was trained for that. `dims`: those that come out. `unknown_words`: None
    leaves them in pieces. `sha256`: file name -> hex digest.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    dims: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=8)
    pooling: Pooling | None = None
    truncate_dims: int | None = Field(default=None, ge=1)
    query_prefix: str = ""
    passage_prefix: str = ""
    dense_weight: float = Field(default=0.3, ge=0, le=1)
    unknown_words: UnknownWords | None = None
    license: str = ""
    sources: tuple[Origin, ...] = ()
    sha256: Mapping[str, str] = {}

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Raises ModelError that names the missing files, or the field of the manifest that is wrong."""
        check_folder(folder)
        path = folder / MANIFEST
        if not path.is_file():
            return cls(name=folder.name)
        try:
            return cls.model_validate({"name": folder.name, **json.loads(path.read_bytes())})
        except ValidationError as error:
            first = error.errors()[0]
            raise ModelError(folder=folder, detail=f"{MANIFEST}: {first['loc'][0]}: {broken_rule(first)}.") from error
        except (ValueError, TypeError) as error:
            detail = tr(f"{MANIFEST} no es un objeto JSON.", f"{MANIFEST} is not a JSON object.")
            raise ModelError(folder=folder, detail=detail) from error


class Model:
    """Tokeniser and ONNX session, loaded. Threads may share it."""

    def __init__(self, folder: Path, manifest: Manifest, threads: int) -> None:
        """`threads`: of a run, where the model is not `small`; a small one runs in the calling thread."""
        self._folder = folder
        self._tokenizer = _tokenizer(folder, manifest)
        self.small = sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) < _LARGE
        self._session = open_session(folder, 1 if self.small else threads)
        self._reader = _word_reader(self._tokenizer, folder, manifest.unknown_words)
        inputs = {node.name: node for node in self._session.get_inputs()}
        self._past = {name: node for name, node in inputs.items() if name.startswith(_PAST) and len(node.shape) == 4}
        self._inputs = {name: _INPUT_TYPES.get(inputs[name].type, np.int64) for name in inputs.keys() - self._past}
        self._refuse_other_inputs()
        outputs = {node.name: node.shape for node in self._session.get_outputs()}
        self._output = next((name for name in _OUTPUTS if name in outputs), next(iter(outputs)))
        shape = outputs[self._output]
        usual: Pooling = "last" if self._past else "mean"
        self.pooling: Pooling = "in_graph" if len(shape) == 2 else manifest.pooling or usual
        if self.pooling == "in_graph" and len(shape) != 2:
            detail = tr(
                f"{MANIFEST} dice pooling=in_graph y {GRAPH} da un vector por token.",
                f"{MANIFEST} says pooling=in_graph and {GRAPH} gives a vector a token.",
            )
            raise ModelError(folder=folder, detail=detail)
        self._kept = manifest.truncate_dims
        self.dims = self._dims(shape[-1], manifest.dims)

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Windows of each text: the encoding and those in its `overflowing`."""
        return list(self._tokenizer.encode_batch(list(texts)))

    def ids(self, window: Encoding, text: str) -> list[int]:
        """What the network reads of a window of `text`: its ids, unknown words as `unknown_words` says."""
        return self._reader.ids(window, text) if self._reader else list(window.ids)

    def run(self, rows: Sequence[Sequence[int]]) -> Matrix:
        """One vector a row of token ids, shape (n, dims); padded to the longest row. Raises ModelError."""
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        positions = np.tile(np.arange(ids.shape[1]), (len(rows), 1))
        feed = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(ids),
            "position_ids": positions,
        }
        given = {name: feed[name].astype(kind, copy=False) for name, kind in self._inputs.items()}
        try:
            [output] = self._session.run([self._output], given | self._nothing_before(len(rows)))
        except ONNX_FAILURES as error:
            raise ModelError(folder=self._folder, detail=f"{GRAPH}: {error}") from error
        return self._pooled(np.asarray(output, dtype=np.float32), mask)[:, : self._kept]

    def _nothing_before(self, rows: int) -> dict[str, Any]:
        """What a decoder has read before: no token."""
        return {
            name: np.zeros((rows, node.shape[1], 0, node.shape[3]), dtype=_PAST_TYPES.get(node.type, np.float32))
            for name, node in self._past.items()
        }

    def _pooled(self, output: Matrix, mask: Ids) -> Matrix:
        if self.pooling == "in_graph":
            return output
        if self.pooling == "cls":
            return np.ascontiguousarray(output[:, 0])
        if self.pooling == "last":
            return np.ascontiguousarray(output[np.arange(len(output)), mask.sum(axis=1) - 1])
        weights = mask[:, :, None].astype(np.float32)
        mean: Matrix = (output * weights).sum(axis=1) / weights.sum(axis=1)
        return mean

    def _refuse_other_inputs(self) -> None:
        other = ", ".join(sorted(self._inputs.keys() - _INPUTS))
        if other:
            known = ", ".join(sorted(_INPUTS))
            detail = tr(f"{GRAPH} pide {other}; doy {known}.", f"{GRAPH} asks for {other}; given are {known}.")
            raise ModelError(folder=self._folder, detail=detail)

    def _dims(self, in_graph: object, in_manifest: int | None) -> int:
        whole = in_graph if isinstance(in_graph, int) else self.run([[0]]).shape[1]
        given = min(whole, self._kept or whole)
        if in_manifest in {None, given}:
            return given
        raise ModelError(
            folder=self._folder,
            detail=tr(
                f"{MANIFEST} dice dims={in_manifest} y {GRAPH} da {given}.",
                f"{MANIFEST} says dims={in_manifest} and {GRAPH} gives {given}.",
            ),
        )


def check_folder(folder: Path) -> None:
    """Raises ModelError that names the files that are missing."""
    missing = [name for name in (GRAPH, TOKENIZER) if not (folder / name).is_file()]
    if missing:
        names = ", ".join(missing)
        raise ModelError(folder=folder, detail=tr(f"falta {names}.", f"{names} missing."))


def read_tokenizer(folder: Path) -> Tokenizer:
    """The folder's tokeniser as it is. Raises ModelError."""
    try:
        return Tokenizer.from_buffer((folder / TOKENIZER).read_bytes())
    except ValueError as error:
        raise ModelError(folder=folder, detail=f"{TOKENIZER}: {error}") from error


def _tokenizer(folder: Path, manifest: Manifest) -> Tokenizer:
    tokenizer = read_tokenizer(folder)
    own: Mapping[str, Any] = tokenizer.truncation or {}
    tokenizer.no_padding()
    # Truncation keeps what it cuts off, in windows: nothing is lost.
    tokenizer.enable_truncation(manifest.max_tokens or own.get("max_length", USUAL_MAX_TOKENS))
    return tokenizer


def _word_reader(tokenizer: Tokenizer, folder: Path, rules: UnknownWords | None) -> WordReader | None:
    if rules is None:
        return None
    if rules.glosses and not (folder / rules.glosses).is_file():
        raise ModelError(folder=folder, detail=tr(f"falta {rules.glosses}.", f"{rules.glosses} is missing."))
    window = (tokenizer.truncation or {})["max_length"]
    return WordReader(tokenizer, folder, rules, max_tokens=window)


def open_session(folder: Path, threads: int) -> onnxruntime.InferenceSession:
    """The folder's graph, loaded; `threads` 0 is one a core. Raises ModelError."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin while they wait take the cores from PostgreSQL, which runs on the same machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(folder / GRAPH, options, providers=["CPUExecutionProvider"])
    except ONNX_FAILURES as error:
        raise ModelError(folder=folder, detail=f"{GRAPH}: {error}") from error
