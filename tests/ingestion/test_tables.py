"""Rows of a table as lines: every cell is there, beside the name of its column."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ateneo.ingestion.parsing.csv_rows import read_csv
from ateneo.ingestion.parsing.pdf_tables import Segment, find_tables
from ateneo.ingestion.parsing.tables import table_lines, table_text

CELL = st.text(st.characters(blacklist_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)


@given(st.lists(st.lists(CELL, max_size=6), max_size=8), st.sampled_from([None, True, False]))
def test_no_cell_is_lost(rows: list[list[str]], header: bool | None) -> None:
    text = "\n".join(table_lines(rows, header=header)[0])
    for row in rows:
        for cell in row:
            assert " ".join(cell.split()) in text


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([["Producto", "Precio 2025", "2026"], ["Yerba", "850", "990"]], "Yerba | Precio 2025: 850 | 2026: 990"),
        ([["LISTA", "", ""], ["", "", ""], ["Ítem", "U.", "$"], ["Caño", "m", "12,50"]], "Caño | U.: m | $: 12,50"),
        ([["Cargo", "", "Básico"], ["Chofer", "x", "1.200"]], "Chofer | x | Básico: 1.200"),
        ([["Zona", "Ene", "Feb"], ["A", "1", "2"], ["", "", ""], ["B", "", "4"]], "B | Feb: 4"),
        ([["Plan", "Cuota", ""], ["", "Alta", "Baja"], ["Oro", "10", "8"]], "Oro | Cuota / Alta: 10 | Cuota / Baja: 8"),
        ([["Yerba", "850"], ["Azúcar", "640"]], "Azúcar | 640"),
        ([["Responsable", "Ada"], ["Correo", "a@b.c"], ["Cierre", "3 de mayo"]], "Correo | a@b.c"),
        ([["Día", "Mañana", "Tarde"], ["Lunes", "Ofelia", "Bruno"]], "Lunes | Mañana: Ofelia | Tarde: Bruno"),
        ([["2024", "2025"], ["10", "20"]], "10 | 20"),
        (
            [["A", "Código"], ["9", "1"], ["", ""], ["Turno", "Cupo", "Sala"], ["T1", "30", "B"]],
            "T1 | Cupo: 30 | Sala: B",
        ),
    ],
)
def test_a_row_has_the_names_of_its_columns(rows: list[list[str]], line: str) -> None:
    assert line in table_text(rows).split("\n")


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("a;b\n1,5;2,5\n3,5;4,5\n", ["1,5", "2,5"]),
        ("Informe, enero\n\nPan;120;48.000,50\nMate;3;1,5\n", ["Pan", "120", "48.000,50"]),
        ("sep=|\na|b;c\n", ["a", "b;c"]),
        ("a\tb, c\n1\t2\n", ["a", "b, c"]),
        ('x,"y, z"\n1,"2\n3"\n', ["1", "2\n3"]),
    ],
)
def test_the_delimiter_is_the_one_of_the_whole_file(text: str, row: list[str]) -> None:
    assert row in read_csv(text)


def segments(rows: list[list[tuple[float, str]]], *, height: float = 14.0) -> list[Segment]:
    return [
        Segment(text, left, 800 - height * at, left + 5 * len(text), 810 - height * at, 10)
        for at, row in enumerate(rows)
        for left, text in row
    ]


def test_cells_stand_under_their_header_though_some_are_empty() -> None:
    rows: list[list[tuple[float, str]]] = [
        [(50, "Ítem"), (150, "Mín."), (250, "Máx.")],
        [(50, "Uno"), (250, "9")],
        [(50, "Dos"), (150, "4"), (250, "8")],
        [(50, "Tres"), (150, "5")],
    ]
    [table] = find_tables(segments(rows), [])
    assert table.rows == [["Ítem", "Mín.", "Máx."], ["Uno", "", "9"], ["Dos", "4", "8"], ["Tres", "5", ""]]


def test_a_cell_that_goes_on_below_is_one_cell() -> None:
    rows: list[list[tuple[float, str]]] = [
        [(50, "Tema"), (200, "Plazo")],
        [(50, "Cambio de"), (200, "10 días")],
        [(50, "domicilio")],
        [(50, "Baja"), (200, "5")],
    ]
    [table] = find_tables(segments(rows), [])
    assert table.rows[1] == ["Cambio de domicilio", "10 días"]


def test_two_columns_of_prose_are_no_table() -> None:
    line = "lo que dice una columna de diario aquí"
    assert find_tables(segments([[(50, line), (300, line)] for _ in range(8)]), []) == []


def test_lines_of_text_are_no_table() -> None:
    assert find_tables(segments([[(50, "Una línea de texto.")] for _ in range(8)]), []) == []


def test_a_title_between_two_tables_divides_them() -> None:
    rows: list[list[tuple[float, str]]] = [
        [(50, "Ítem"), (120, "Mín."), (190, "Máx.")],
        [(50, "Uno"), (120, "4"), (190, "9")],
        [(50, "Dos"), (120, "4"), (190, "8")],
        [(50, "Plazos")],
        [(50, "Trámite"), (150, "Requisitos"), (280, "Días")],
        [(50, "Alta"), (150, "La nota firmada"), (280, "3")],
        [(50, "Baja"), (150, "El recibo último"), (280, "5")],
    ]
    upper, lower = find_tables(segments(rows), [])
    assert (upper.rows[1], lower.rows[1]) == (["Uno", "4", "9"], ["Alta", "La nota firmada", "3"])
