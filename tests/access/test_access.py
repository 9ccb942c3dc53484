"""The rate limit of a key: as many requests at once as a minute has, and no more in the long run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ateneo.access import service
from ateneo.access.service import TokenBucket, require
from ateneo.errors import RateLimited, ScopeMissing
from ateneo.types import Caller


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def spent(bucket: TokenBucket, name: str, times: int) -> int:
    done = 0
    for _ in range(times):
        try:
            bucket.spend(name)
            done += 1
        except RateLimited:
            pass
    return done


@given(
    limit=st.integers(1, 50),
    waits=st.lists(st.tuples(st.floats(0, 100), st.integers(0, 80)), max_size=8),
)
def test_never_more_than_a_bucket_and_what_time_brought(limit: int, waits: list[tuple[float, int]]) -> None:
    clock = Clock()
    bucket = TokenBucket(limit, clock)
    done = 0
    for wait, times in waits:
        clock.now += wait
        done += spent(bucket, "a", times)
        assert done <= limit + clock.now * limit / 60 + 1e-6
    assert spent(bucket, "b", 1) == 1  # another key's bucket is full


def test_it_says_when_to_come_back() -> None:
    clock = Clock()
    bucket = TokenBucket(30, clock)
    assert spent(bucket, "a", 40) == 30
    with pytest.raises(RateLimited) as refused:
        bucket.spend("a")
    assert refused.value.fields["retry_after"] == 2
    clock.now += 2
    assert spent(bucket, "a", 5) == 1


def test_no_limit() -> None:
    assert spent(TokenBucket(0), "a", 10_000) == 10_000


def test_quiet_keys_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_BUCKETS", 3)
    bucket = TokenBucket(1, Clock())
    for number in range(10):
        bucket.spend(str(number))
    assert spent(bucket, "0", 1) == 1
    assert spent(bucket, "9", 1) == 0


def test_a_scope_is_had_or_not() -> None:
    caller = Caller("acme", "key:1", frozenset({"read"}))
    require(caller, "read")
    with pytest.raises(ScopeMissing, match="write"):
        require(caller, "write")
