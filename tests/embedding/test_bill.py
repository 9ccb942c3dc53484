"""`--dry-run` against the bill: thousands of texts of every kind, and a provider that counts by another implementation
of OpenAI's tokeniser than ours."""

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

import pytest
import tiktoken
from bpe_openai import get_encoding
from tests.providers.server import ProviderServer

from ateneo.db import usage
from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.service import EmbeddingService
from ateneo.embedding.switch import Switch
from ateneo.providers.openai import OpenAIEmbedder

SEED, COUNT = 11, 3000
COMPANIES = ("acme", "globex", "umbrella")
WINDOW = 8192
# cl100k_base's rule for words, as OpenAI publishes it in tiktoken
PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
WORDS = (
    "licencia mudanza días corridos según convenio colectivo ñandú pingüino vacaciones período reembolso Córdoba"
    " the employee shall return company property within thirty working days of termination naïve résumé"
)
PIECES = ("🎉", "👩‍👩‍👧", "def f(x):\n    return x ** 2", "{'a': [1, 2.5e-3]}", "https://ejemplo.com/a?b=c&d=%20",
          "数据", "\u202f1 234,56 €", "C/ Mayor 5, 3.º dcha.", "\t\t", "…", "AR-2024-000123")  # fmt: skip


@pytest.fixture(scope="module")
def tokeniser() -> tiktoken.Encoding:
    theirs = get_encoding("cl100k_base")
    ranks = {theirs.decode_single_token_bytes(number): number for number in range(100_256)}
    return tiktoken.Encoding("cl100k_base", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})


def texts(chance: random.Random) -> list[str | None]:
    """Of every kind: usual ones, with emoji and code, the same again, beyond the model's window, blank, short, none."""
    made: list[str | None] = []
    for number in range(COUNT):
        words = chance.choices(WORDS.split(), k=chance.randrange(5, 120))
        for _ in range(chance.randrange(3)):
            words.insert(chance.randrange(len(words)), chance.choice(PIECES))
        text = " ".join(words)
        made.append(chance.choice(made) if number > 50 and chance.random() < 0.1 else text)
    for number in chance.sample(range(COUNT), 3):
        made[number] = " ".join(chance.choices(WORDS.split() + list(PIECES), k=9000))
    for number in chance.sample(range(COUNT), 30):
        made[number] = chance.choice(["", " " * 40, "corto", None, "\n\t\n \u00a0" * 5])
    return made


@pytest.fixture
async def stocked(database: Database) -> AsyncIterator[list[tuple[str, str | None]]]:
    chance = random.Random(SEED)
    rows = [(chance.choices(COMPANIES, [70, 25, 5])[0], text) for text in texts(chance)]
    async with database.acquire() as connection:
        await connection.executemany("INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ($1, $2)", rows)
    yield rows


def service(server: ProviderServer, model: str, dims: int) -> EmbeddingService:
    return EmbeddingService(OpenAIEmbedder(api_key="k", model=model, base_url=server.url, dimensions=dims))


async def test_what_is_planned_is_billed_and_on_the_accounts(
    database: Database, stocked: Sequence[tuple[str, str | None]], tokeniser: tiktoken.Encoding
) -> None:
    def count(sent: Sequence[str]) -> list[int]:
        return [len(tokeniser.encode_ordinary(text)) for text in sent]

    owed: dict[str, int] = defaultdict(int)
    for empresa, text in sorted({(empresa, text) for empresa, text in stocked if text and text.strip()}):
        if len(text) > 10:
            owed[empresa] += min(WINDOW, *count([text]))
    with ProviderServer(dims=8) as server:
        server.counted_by = count
        async with (
            service(server, "text-embedding-3-small", 8) as old,
            service(server, "text-embedding-3-large", 12) as new,
        ):
            plan = await Backfill(database, old).plan()
            assert await Backfill(database, old).run()
            assert plan.tokens == pytest.approx(server.tokens, rel=0.002)
            billed = server.tokens
            switch = Switch(database, new, asked_dims=12)
            second = await switch.plan(threshold=5000, count_tokens=True)
            server.tokens = 0  # the plan's own trial is a bill of its own
            await switch.fill(await switch.begin())
            assert second.tokens == pytest.approx(server.tokens, rel=0.002)
            assert server.tokens == billed
    accounts = {(one.empresa_id, one.model): one for one in await usage.month(database)}
    assert len({one.day for one in accounts.values()}) == 1
    for model in ("text-embedding-3-small", "text-embedding-3-large"):
        own = {empresa: accounts[empresa, model].tokens for empresa in COMPANIES}
        assert sum(own.values()) == billed, "every token billed is on an account"
        for empresa in COMPANIES:
            assert own[empresa] == pytest.approx(owed[empresa], rel=0.002), empresa
    price = {model: accounts["acme", model].usd / accounts["acme", model].tokens for _, model in accounts}
    assert price == pytest.approx({"text-embedding-3-small": 0.02e-6, "text-embedding-3-large": 0.13e-6})
    assert plan.cost_usd == pytest.approx(sum(accounts[e, "text-embedding-3-small"].usd for e in COMPANIES), rel=0.002)
