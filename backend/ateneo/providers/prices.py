"""What is known of OpenAI's embedding models: sizes, and prices with their date.

Prices change: verify them at the vendor's page, https://platform.openai.com/docs/pricing, before you rely on a figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

PRICES_AS_OF = date(2026, 5, 1)
"""When these prices were last seen in print."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """`dims`: length of its vectors unless a shorter one is asked; `price`: US dollars per million tokens."""

    dims: int
    price: float


EMBEDDING_MODELS: Mapping[str, KnownModel] = MappingProxyType(
    {
        "text-embedding-3-small": KnownModel(dims=1536, price=0.02),
        "text-embedding-3-large": KnownModel(dims=3072, price=0.13),
        "text-embedding-ada-002": KnownModel(dims=1536, price=0.10),
    }
)
