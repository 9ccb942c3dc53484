"""A passage around one of its sentences, which is marked."""

from ateneo.text.sentences import sentence_spans

MOST_CHARS = 900


def excerpt(text: str, sentence: str, most: int = MOST_CHARS) -> str:
    """As many whole sentences of `text` as fit `most` characters, the nearest to `sentence` first, that one in `**`.

    Headings are left out. `sentence` is one of the text's.
    """
    spans = sentence_spans(text)
    at = next(place for place, (start, end) in enumerate(spans) if text[start:end] == sentence)
    first = last = at
    for place in sorted(range(len(spans)), key=lambda one: abs(one - at)):
        low, high = min(first, place), max(last, place)
        if not _is_heading(text, spans, low) and spans[high][1] - spans[low][0] <= most:
            first, last = low, high
    start, end = spans[at]
    return f"{text[spans[first][0] : start]}**{sentence}**{text[end : spans[last][1]]}"


def _is_heading(text: str, spans: list[tuple[int, int]], at: int) -> bool:
    start, end = spans[at]
    return text.startswith("#", start) or (at == 0 and len(spans) > 1 and text[end - 1].isalnum())
