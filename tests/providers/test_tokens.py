import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from ateneo.providers.tokens import count_tokens, truncate


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("tiktoken is great!", 6),
        ("antidisestablishmentarianism", 6),
        ("2 + 2 = 4", 7),
        ("お誕生日おめでとう", 9),
    ],
)
def test_counts_that_openai_documents(text: str, tokens: int) -> None:
    assert count_tokens([text]) == [tokens]


def test_names_of_special_tokens_are_plain_text() -> None:
    [tokens] = count_tokens(["<|endoftext|>"])
    assert tokens > 1


@settings(max_examples=examples(60))
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80), st.integers(1, 30))
def test_a_truncated_text_is_a_beginning_within_the_limit(text: str, limit: int) -> None:
    cut = truncate(text, limit)
    assert text.startswith(cut)
    assert count_tokens([cut])[0] <= limit
    if count_tokens([text])[0] <= limit:
        assert cut == text


def test_truncation_keeps_all_that_fits() -> None:
    assert count_tokens([truncate("palabra " * 50_000, 8192)]) == [8192]
