"""A bar chart as SVG, by hand: no library, and a file that any browser and editor opens."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from xml.sax.saxutils import escape

from ateneo.evaluation.report import Run
from ateneo.i18n import number, tr
from ateneo.text.clean import showable

_WIDTH, _LEFT, _RIGHT, _TOP = 720, 190, 56, 64
_BAR, _GAP, _BETWEEN = 18, 3, 16
_COLOURS = ("#2f6f9f", "#e08a3c", "#5b9a68", "#a4508b")
_FONT = "font-family='system-ui, sans-serif' font-size='13'"


def bar_chart(series: Mapping[str, Sequence[Run]], k: int) -> str:
    """nDCG@k of each run: a group a dataset and variant, in it a bar for each of the series that has it."""
    groups: dict[str, list[tuple[str, float]]] = {}
    for label, runs in series.items():
        for run in runs:
            groups.setdefault(f"{run.dataset} · {run.variant}", []).append((label, run.metrics().ndcg))
    colours = dict(zip(series, cycle(_COLOURS), strict=False))
    body: list[str] = []
    y = _TOP
    for name, bars in groups.items():
        height = len(bars) * (_BAR + _GAP) - _GAP
        body.append(_text(_LEFT - 10, y + height / 2 + 5, _short(name), anchor="end"))
        for label, value in bars:
            body += _bar(y, value, colours[label])
            y += _BAR + _GAP
        y += _BETWEEN - _GAP
    height = y + 24
    title = _text(16, 24, f"nDCG@{k}", weight="bold")
    parts = [title, *_legend(colours), *_grid(y), *body]
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH}' height='{height}' "
        f"viewBox='0 0 {_WIDTH} {height}' role='img' aria-label='nDCG@{k}' {_FONT}>\n"
        f"<title>nDCG@{k} {tr('por conjunto y variante', 'by dataset and variant')}</title>\n"
        f"<rect width='100%' height='100%' fill='white'/>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _x(value: float) -> float:
    return round(_LEFT + value * (_WIDTH - _LEFT - _RIGHT), 1)


def _bar(y: float, value: float, colour: str) -> Iterator[str]:
    width = round(_x(value) - _LEFT, 1)
    yield f"<rect x='{_LEFT}' y='{y}' width='{width}' height='{_BAR}' rx='2' fill='{colour}'/>"
    yield _text(_x(value) + 6, y + _BAR - 4, number(100 * value, 1))


def _grid(bottom: float) -> Iterator[str]:
    for percent in range(0, 101, 20):
        x = _x(percent / 100)
        yield f"<line x1='{x}' y1='{_TOP - 8}' x2='{x}' y2='{bottom}' stroke='#dddddd'/>"
        yield _text(x, bottom + 16, str(percent), anchor="middle", colour="#777777")


def _legend(colours: Mapping[str, str]) -> Iterator[str]:
    x = _LEFT
    for label, colour in colours.items():
        yield f"<rect x='{x}' y='14' width='12' height='12' rx='2' fill='{colour}'/>"
        yield _text(x + 18, 24, label)
        x += 34 + 8 * len(label)


def _short(name: str, longest: int = 24) -> str:
    return name if len(name) <= longest else "…" + name[1 - longest :]


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#222222", weight: str = "normal") -> str:
    shown = escape(showable(text))
    return f"<text x='{x}' y='{y}' text-anchor='{anchor}' fill='{colour}' font-weight='{weight}'>{shown}</text>"
