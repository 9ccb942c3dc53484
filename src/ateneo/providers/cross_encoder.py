"""A reranker on this machine: an ONNX cross-encoder folder, run by ONNX Runtime."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Encoding, Tokenizer

from ateneo.errors import ModelError
from ateneo.i18n import tr
from ateneo.providers.model_folder import (
    ONNX_FAILURES,
    USUAL_MAX_TOKENS,
    check_folder,
    open_session,
    read_tokenizer,
)

_ROWS_PER_RUN = 8
_CHARS_PER_TOKEN = 16
"""More than any text's tokens have on average."""

Scores = npt.NDArray[np.float64]


class CrossEncoder:
    """The port Reranker on a folder with model.onnx and tokenizer.json.

    The graph takes input_ids, attention_mask and token_type_ids (those of them that it has), shape (n, tokens), and
    gives one logit a row, or two (no, yes). Pairs longer than the model's window lose the end of the longer text.
    Nothing is loaded before the first use; threads and event loops may share one instance.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        """`threads`: of ONNX Runtime; 0 is one a core. Raises ModelError that says what the folder lacks."""
        check_folder(folder)
        self._folder = folder
        self._threads = threads
        self._loaded: tuple[Tokenizer, onnxruntime.InferenceSession, int] | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"CrossEncoder(model={self.model!r})"

    @property
    def provider(self) -> str:
        return "onnx"

    @property
    def model(self) -> str:
        return self._folder.name

    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """The probability, in [0, 1], that each text answers the query. Raises ModelError. Cancelled, it stops."""
        options = onnxruntime.RunOptions()
        try:
            return await asyncio.to_thread(self._rerank, query, texts, options)
        except asyncio.CancelledError:
            # the thread itself cannot be cancelled, but the run in it can
            options.terminate = True
            raise

    async def close(self) -> None:
        with self._lock:
            self._loaded = None

    def _rerank(self, query: str, texts: Sequence[str], options: onnxruntime.RunOptions) -> list[float]:
        tokenizer, session, tokens = self._model()
        # what truncation cuts off is kept, in every combination of both sides: long texts are cut before
        longest = tokens * _CHARS_PER_TOKEN
        pairs = tokenizer.encode_batch([(query[:longest], text[:longest]) for text in texts])
        scores = np.empty(len(texts))
        shortest_first = sorted(range(len(pairs)), key=lambda place: len(pairs[place].ids))
        for start in range(0, len(pairs), _ROWS_PER_RUN):
            places = shortest_first[start : start + _ROWS_PER_RUN]
            scores[places] = self._run(session, [pairs[place] for place in places], options)
        return [float(score) for score in scores]

    def _model(self) -> tuple[Tokenizer, onnxruntime.InferenceSession, int]:
        with self._lock:
            if self._loaded is None:
                tokenizer = read_tokenizer(self._folder)
                tokens = (tokenizer.truncation or {}).get("max_length", USUAL_MAX_TOKENS)
                tokenizer.no_padding()
                tokenizer.enable_truncation(tokens, strategy="longest_first")
                self._loaded = tokenizer, open_session(self._folder, self._threads), tokens
            return self._loaded

    def _run(
        self, session: onnxruntime.InferenceSession, pairs: Sequence[Encoding], options: onnxruntime.RunOptions
    ) -> Scores:
        shape = (len(pairs), max(len(pair.ids) for pair in pairs))
        feed = {name: np.zeros(shape, dtype=np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
        for row, pair in enumerate(pairs):
            feed["input_ids"][row, : len(pair.ids)] = pair.ids
            feed["attention_mask"][row, : len(pair.ids)] = 1
            feed["token_type_ids"][row, : len(pair.ids)] = pair.type_ids
        taken = {node.name for node in session.get_inputs()}
        output = session.get_outputs()[0].name
        try:
            [logits] = session.run([output], {name: feed[name] for name in feed if name in taken}, options)
        except ONNX_FAILURES as error:
            raise ModelError(folder=self._folder, detail=f"model.onnx: {error}") from error
        return self._probabilities(np.asarray(logits, dtype=np.float64), len(pairs))

    def _probabilities(self, logits: Scores, rows: int) -> Scores:
        if logits.shape == (rows, 2):
            logits = logits[:, 1] - logits[:, 0]
        elif logits.shape not in {(rows,), (rows, 1)}:
            detail = tr(f"da {logits.shape} y no un puntaje por par", f"gives {logits.shape} and not a score a pair")
            raise ModelError(folder=self._folder, detail=f"model.onnx: {detail}")
        probabilities: Scores = 1 / (1 + np.exp(-np.clip(logits.reshape(rows), -500, 500)))
        return probabilities
