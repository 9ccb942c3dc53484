from io import StringIO

from hypothesis import given, settings
from hypothesis import strategies as st

from ateneo.cli.flow import Flow


def written(pieces: list[str], width: int | None) -> str:
    file = StringIO()
    flow = Flow(file, width)
    for piece in pieces:
        flow.write(piece)
    flow.end()
    return file.getvalue()


def test_words_that_come_in_parts_stay_whole() -> None:
    assert written(["Son cator", "ce dí", "as [1", "].\n\nFin"], 12) == "Son catorce\ndías [1].\n\nFin\n"
    assert written(["Son cator", "ce"], None) == "Son catorce\n"


def test_nothing_moves_the_cursor() -> None:
    assert written(["\x1b[2Jhola\r\x07 \x9bchau"], 40) == "[2Jhola chau\n"


@settings(deadline=None)
@given(st.lists(st.text(alphabet="abc \n", max_size=9), max_size=9), st.integers(3, 12))
def test_wrapping_loses_nothing_and_keeps_to_the_width(pieces: list[str], width: int) -> None:
    shown = written(pieces, width)
    assert shown.split() == "".join(pieces).split()
    assert all(len(line) <= width or " " not in line.strip() for line in shown.splitlines())
    assert written(["".join(pieces)], width) == shown
