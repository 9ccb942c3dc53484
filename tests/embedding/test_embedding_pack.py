import itertools

from hypothesis import given
from hypothesis import strategies as st

from ateneo.embedding.batch_limit import pack
from ateneo.types import Limits

LIMITS = Limits(inputs=5, tokens=100, tokens_per_input=60)


@given(st.lists(st.integers(0, LIMITS.tokens_per_input), max_size=60))
def test_requests_cover_all_in_order_within_the_limits(tokens: list[int]) -> None:
    requests = pack(tokens, LIMITS)
    assert [index for request in requests for index in request] == list(range(len(tokens)))
    for request in requests:
        assert 1 <= len(request) <= LIMITS.inputs
        assert sum(tokens[index] for index in request) <= LIMITS.tokens


@given(st.lists(st.integers(0, LIMITS.tokens_per_input), max_size=60))
def test_a_request_ends_only_where_the_next_text_does_not_fit(tokens: list[int]) -> None:
    requests = pack(tokens, LIMITS)
    for request, following in itertools.pairwise(requests):
        total = sum(tokens[index] for index in request) + tokens[following.start]
        assert len(request) == LIMITS.inputs or total > LIMITS.tokens


def test_a_text_over_the_request_limit_travels_alone() -> None:
    assert pack([10, 500, 10], LIMITS) == [range(1), range(1, 2), range(2, 3)]


def test_nothing_to_pack() -> None:
    assert pack([], LIMITS) == []
