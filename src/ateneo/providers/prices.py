"""What is known of the vendors' models: sizes of embeddings, and prices with their date.

Prices change: verify them at the vendor's page, https://platform.openai.com/docs/pricing, before you rely on a figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from ateneo.types import Usage

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


@dataclass(frozen=True, slots=True)
class ChatPrice:
    """US dollars per million tokens. Reading the vendor's prompt cache costs `cache_read`, writing it `cache_write`."""

    input: float
    output: float

    @property
    def cache_read(self) -> float:
        """The usual tenth; newer models take less, so that this errs high."""
        return self.input / 10

    @property
    def cache_write(self) -> float:
        return self.input * 1.25


CHAT_MODELS: Mapping[str, ChatPrice] = MappingProxyType(
    {
        "claude-fable-5": ChatPrice(10, 50),
        "claude-opus-5-5": ChatPrice(4, 20),
        "claude-opus-5": ChatPrice(5, 25),
        "claude-opus-4": ChatPrice(5, 25),
        "claude-sonnet-5": ChatPrice(2, 10),
        "claude-sonnet-4": ChatPrice(3, 15),
        "claude-haiku-5-5": ChatPrice(0.1, 0.5),  # prompts of up to 100,000 tokens
        "claude-haiku-4-5": ChatPrice(1, 5),
    }
)
"""By the beginning of a model's name; the longest that fits counts. Others have no price here.

As of 1 November 2026: verify them at https://claude.com/pricing before you rely on a figure.
"""


def chat_cost(usage: Usage, model: str) -> float | None:
    """US dollars for `usage`; None where the price of `model` is not known."""
    known = max((name for name in CHAT_MODELS if model.startswith(name)), key=len, default=None)
    if known is None:
        return None
    price = CHAT_MODELS[known]
    return (
        usage.input_tokens * price.input
        + usage.output_tokens * price.output
        + usage.cache_read_tokens * price.cache_read
        + usage.cache_write_tokens * price.cache_write
    ) / 1e6
