"""Numbers as people write them, in both languages."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from ateneo import i18n
from ateneo.cli.runtime import out
from ateneo.errors import BadArgument, DocumentTooSlow, QueryTooLong
from ateneo.i18n import count, dollars, number, percent, size

GAP = "\N{NO-BREAK SPACE}"


@pytest.fixture
def english() -> Iterator[None]:
    i18n.use("en")
    yield
    i18n.use("es")


CASES: list[tuple[Callable[[], str], str, str]] = [
    (lambda: number(0), "0", "0"),
    (lambda: number(2536), "2536", "2,536"),
    (lambda: number(12536), f"12{GAP}536", "12,536"),
    (lambda: number(1234567), f"1{GAP}234{GAP}567", "1,234,567"),
    (lambda: number(-2536), "-2536", "-2,536"),
    (lambda: number(-12536), f"-12{GAP}536", "-12,536"),
    (lambda: number(9999.96, 1), f"10{GAP}000,0", "10,000.0"),
    (lambda: number(0.25, 2), "0,25", "0.25"),
    (lambda: number(-0.04, 1), "0,0", "0.0"),
    (lambda: number(0.3, 1, sign=True), "+0,3", "+0.3"),
    (lambda: number(30.0, None), "30", "30"),
    (lambda: number(100, None), "100", "100"),
    (lambda: number(0.6, None), "0,6", "0.6"),
    (lambda: percent(0.125, 1), f"12,5{GAP}%", "12.5%"),
    (lambda: percent(1), f"100{GAP}%", "100%"),
    (lambda: dollars(0), "0,00", "0.00"),
    (lambda: dollars(12345.678), f"12{GAP}345,68", "12,345.68"),
    (lambda: dollars(0.000012), "0,000012", "0.000012"),
    (lambda: size(0), "0 bytes", "0 bytes"),
    (lambda: size(1), "1 byte", "1 byte"),
    (lambda: size(1000), "1000 bytes", "1,000 bytes"),
    (lambda: size(1536), "1,5 KiB", "1.5 KiB"),
    (lambda: size(3 * 1024**2 // 2), "1,5 MiB", "1.5 MiB"),
    (lambda: size(5 * 1024**3), "5,0 GiB", "5.0 GiB"),
    (lambda: count(1, "chunk", "chunks"), "1 chunk", "1 chunk"),
    (lambda: count(0, "chunk", "chunks"), "0 chunks", "0 chunks"),
    (lambda: count(12536, "chunk", "chunks"), f"12{GAP}536 chunks", "12,536 chunks"),
    (lambda: QueryTooLong(length=12536, limit=8000).message.split(" ")[3], f"12{GAP}536", "12,536"),
    (lambda: DocumentTooSlow(name="a", seconds=0.5).message.split(" ")[-2], "0,5", "0.5"),
    (lambda: BadArgument(name="k", value=12536, rule="-").message.split(" ")[0], "k=12536", "k=12536"),
]


@pytest.mark.parametrize(("made", "spanish", "_"), CASES)
def test_spanish(made: Callable[[], str], spanish: str, _: str) -> None:
    assert made() == spanish


@pytest.mark.parametrize(("made", "_", "expected"), CASES)
@pytest.mark.usefixtures("english")
def test_english(made: Callable[[], str], _: str, expected: str) -> None:
    assert made() == expected


@given(st.integers(-(10**15), 10**15))
def test_no_digit_is_lost(value: int) -> None:
    shown = number(value)
    assert int(shown.replace(GAP, "")) == value
    groups = shown.lstrip("-").split(GAP)
    assert len(groups) == 1 or (len(groups[0]) <= 3 and {len(one) for one in groups[1:]} == {3})
    assert (len(groups) > 1) == (abs(value) >= 10_000)


@pytest.mark.parametrize("width", range(20, 40))
def test_a_number_is_not_broken_over_two_lines(width: int) -> None:
    table = Table("n", box=None)
    table.add_row(f"De los {number(1234567)} chunks")
    with out.capture() as shown:
        out.print(f"Quedaron guardados {number(12536)} chunks, el {percent(0.995, 1)} de todos.", width=width)
        out.print(table, width=20)
    assert f"12{GAP}536" in shown.get() and f"99,5{GAP}%" in shown.get() and f"1{GAP}234{GAP}567" in shown.get()
