"""The bound on a chat model's tokens against two real tokenisers."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from ateneo.providers.tokens import ChatTokens, count_tokens
from ateneo.search.token_estimate import HigherCount, TokenEstimate

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """The pages of the examples, and their questions."""
    pages = [path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*/existing/*.md"))]
    files = sorted(EXAMPLES.glob("questions*.jsonl"))
    questions = [json.loads(line)["question"] for file in files for line in file.read_text("utf-8").splitlines()]
    pieces = [page[at : at + 600] for page in pages for at in range(0, len(page), 600)]
    return [*pieces, *questions]


def test_it_errs_high_on_real_text_and_not_absurdly(texts: list[str]) -> None:
    bounds = TokenEstimate().count_tokens(texts)
    for counts in (count_tokens(texts), ChatTokens().count_tokens(texts)):
        assert all(bound >= count for bound, count in zip(bounds, counts, strict=True))
        assert sum(bounds) < 2 * sum(counts)


@pytest.mark.parametrize(
    "text",
    [
        "xkcdqzw" * 20,
        "🙂🏳️‍🌈" * 20,
        "0123456789" * 9,
        "\x00\u202e\ufeff" * 20,
        "漢字かな" * 20,
        "{[(<|>)]}" * 20,
        "\n\n\n",
    ],
)
def test_it_errs_high_on_hostile_text(text: str) -> None:
    [bound] = TokenEstimate().count_tokens([text])
    assert bound >= max(count_tokens([text])[0], ChatTokens().count_tokens([text])[0])


@settings(max_examples=examples(200))
@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Lu", "Ll", "Zs"]), max_size=80))
def test_what_is_not_words_counts_by_its_bytes(text: str) -> None:
    [bound] = TokenEstimate().count_tokens([text])
    assert bound >= max(count_tokens([text])[0], ChatTokens().count_tokens([text])[0])


def test_the_higher_of_two() -> None:
    class Fixed:
        def count_tokens(self, texts: object) -> list[int]:
            return [3, 3]

    assert HigherCount(Fixed(), TokenEstimate()).count_tokens(["a", "1234"]) == [3, 4]
