"""Vectors, and the models that they are of."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
"""Vectors as rows, shape (n, dims), float32."""

Kind = Literal["passage", "query"]


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """One embedding, as the guide's code expects it. `embedding` is a list of `dims` floats, unit length."""

    embedding: list[float]
    tokens: int
    model: str
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider takes in one request."""

    inputs: int
    tokens: int
    tokens_per_input: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """The provider's answer to one request: unit vectors (n, dims) in the order asked, and the tokens billed."""

    vectors: Matrix
    tokens: int


@dataclass(frozen=True, slots=True)
class Generation:
    """One embedding model's vectors in this database (table `ateneo.vec_g<number>`).

    `legacy`: the guide's column holds its vectors. `active`: what search takes; `filling`: a switch to it is under way;
    `previous`: it was active and can be returned to. `asked_dims`: asked of the provider, None for the model's own.
    """

    number: int
    provider: str
    model: str
    dims: int
    legacy: bool
    active: bool
    state: Literal["filling", "active", "previous"] = "active"
    asked_dims: int | None = None

    @property
    def label(self) -> str:
        return f"{self.provider}/{self.model} ({self.dims})"


@dataclass(frozen=True, slots=True)
class Pending:
    """A chunk that waits for its embedding. `content_hash` is the sha256 of the text as UTF-8; `attempts` is how often
    it was claimed from the queue, this time included."""

    empresa_id: str
    chunk_id: str
    contenido: str
    content_hash: bytes
    attempts: int = 0
