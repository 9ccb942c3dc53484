"""How fast a provider is asked, on a clock that the test holds."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from ateneo.embedding.limiter import AdaptiveLimiter
from ateneo.embedding.vector_store import split_bill
from ateneo.types import Pending


class Clock:
    """Time passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def begun(limiter: AdaptiveLimiter, tokens: int, *, urgent: bool = False) -> float:
    async with limiter.request(tokens, urgent=urgent) as moment:
        return moment


@given(st.lists(st.integers(1, 3000), min_size=5, max_size=80), st.integers(1, 600), st.integers(1000, 100_000))
def test_no_minute_has_more_than_the_ceilings(sizes: list[int], rpm: int, tpm: int) -> None:
    clock = Clock()
    limiter = AdaptiveLimiter(4, rpm=rpm, tpm=tpm, clock=clock, sleep=clock.sleep)

    async def all_of_them() -> list[float]:
        return [await begun(limiter, size) for size in sizes]

    moments = asyncio.run(all_of_them())
    for first, start in enumerate(moments):
        within = [k for k in range(first, len(moments)) if moments[k] < start + 60 - 1e-6]
        assert len(within) <= rpm + 1
        assert sum(sizes[k] for k in within[:-1]) <= tpm + 1e-6


async def test_a_limit_halves_once_a_storm_and_grows_back() -> None:
    clock = Clock()
    limiter = AdaptiveLimiter(16, clock=clock, sleep=clock.sleep)
    for _ in range(5):  # five requests that were under way when the first 429 came
        limiter.slowed(clock.now)
        clock.now += 0.001
        limiter.slowed(clock.now - 0.01)
    assert limiter.limit < 16
    low = limiter.limit
    for _ in range(200):
        limiter.succeeded()
    assert low < limiter.limit == 16
    for _ in range(50):
        clock.now += 1
        limiter.slowed(clock.now)
    assert limiter.limit == 1


async def test_nobody_asks_before_retry_after_but_who_has_waited_it_out() -> None:
    clock = Clock()
    limiter = AdaptiveLimiter(4, clock=clock, sleep=clock.sleep)
    limiter.slowed(clock.now, 9.0)
    async with limiter.request(1, again=True) as moment:
        assert moment == 1000.0
    assert await begun(limiter, 1, urgent=True) == 1000.0
    assert await begun(limiter, 1) == 1009.0


async def test_no_more_than_the_limit_are_under_way() -> None:
    limiter = AdaptiveLimiter(3)
    most = now = 0

    async def one() -> None:
        nonlocal most, now
        async with limiter.request(1):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(one() for _ in range(20)))
    assert most == 3


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 500)), min_size=1, max_size=40),
    st.integers(0, 20_000),
)
def test_a_bill_is_split_to_the_last_token(texts: list[tuple[str, int]], billed: int) -> None:
    chunks = [Pending(empresa, str(k), "", b"") for k, (empresa, _) in enumerate(texts)]
    counts = [count for _, count in texts]
    shares = split_bill(chunks, counts, billed, 2.0)
    total = sum(counts)
    if total:
        assert sum(share.tokens for share in shares.values()) == billed
    assert sum(share.texts for share in shares.values()) == len(texts)
    for empresa, share in shares.items():
        mine = sum(count for one, count in texts if one == empresa)
        assert abs(share.tokens - billed * mine / (total or 1)) <= 1
        assert share.usd == share.tokens * 2.0 / 1e6
