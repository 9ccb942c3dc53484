"""A passage around one of its sentences, which is marked."""

from collections.abc import Container

from ateneo.text.sentences import sentence_spans

MOST_CHARS = 900


def excerpt(text: str, sentence: str, body: Container[str], most: int = MOST_CHARS) -> str:
    """As many whole sentences of `text` as fit `most` characters, the nearest to `sentence` first, that one in `**`.

    Only sentences of `body` (not its headings) and what is between them.
    """
    spans = [span for span in sentence_spans(text) if text[slice(*span)] in body]
    at = next(place for place, span in enumerate(spans) if text[slice(*span)] == sentence)
    first = last = at
    for place in sorted(range(len(spans)), key=lambda one: abs(one - at)):
        low, high = min(first, place), max(last, place)
        if spans[high][1] - spans[low][0] <= most:
            first, last = low, high
    start, end = spans[at]
    return f"{text[spans[first][0] : start]}**{sentence}**{text[end : spans[last][1]]}"
