"""How a passage is called when it is shown to people."""

from collections.abc import Sequence

LONGEST_OPENING = 60
"""Characters of a passage that stand for a title where its document has none."""


def label(title: str | None, headings: Sequence[str], page: int | None, contenido: str) -> str:
    """Title, heading, page: «Licencias · Plazos · p. 3». Rows of the user's own have no title: then how they begin."""
    parts = [title or (headings[0] if headings else opening(contenido))]
    if headings and headings[-1] != parts[0]:
        parts.append(headings[-1])
    if page is not None:
        parts.append(f"p. {page}")
    return " · ".join(parts)


def opening(text: str) -> str:
    """The first line with something in it, without its marks of Markdown, cut at a word."""
    bare = (" ".join(line.split()).strip("#*_>|-= ") for line in text.splitlines())
    first = next(filter(None, bare), "…")
    return first if len(first) <= LONGEST_OPENING else first[:LONGEST_OPENING].rsplit(" ", 1)[0] + "…"
