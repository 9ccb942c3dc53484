"""Cells as a spreadsheet shows them."""

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ateneo.ingestion.parsing.cell_format import shown


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, "General", ""), ("Hola", "General", "Hola"), (True, "General", "VERDADERO"), (12, "General", "12"),
        (0.5, "General", "0,5"), (1e21, "General", "1e+21"), (0.035, "0.0%", "3,5%"), (1, "0%", "100%"),
        (12500.5, '"$" #,##0.00', "$ 12.500,50"), (-3, "#,##0;(#,##0)", "(3)"), (-3.25, "0.0", "-3,2"),
        (1234567, "#,##0", "1.234.567"), (7, "00000", "00007"), (42, '0" u."', "42 u."),
        (5, "[$R$-416] #,##0.00", "R$ 5,00"),
        (0.25, "# ?/?", "0,25"), (datetime(2026, 12, 15), "mm-dd-yy", "15/12/2026"),
        (datetime(2026, 12, 15, 9, 5), "dd/mm/yyyy hh:mm", "15/12/2026 09:05"),
        (datetime(2026, 3, 1), "mmm-yy", "mar-26"),
        (datetime(2026, 3, 1), 'd" de "mmmm" de "yyyy', "1 de marzo de 2026"),
        (date(2026, 3, 1), "General", "01/03/2026"),
        (time(18, 30), "hh:mm", "18:30"), (time(18, 30), "h:mm AM/PM", "6:30 p. m."), (time(7, 0, 5), "mm:ss", "00:05"),
        (datetime(2026, 3, 1, 14), "General", "01/03/2026 14:00"), (timedelta(hours=30, minutes=5), "[h]:mm", "30:05"),
    ],
)  # fmt: skip
def test_a_cell_shows(value: Any, form: str, text: str) -> None:
    assert shown(value, form) == text


@given(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
    | st.datetimes() | st.dates() | st.times() | st.timedeltas(min_value=timedelta(0)),
    st.text(alphabet='0#?,.%"$ ;[]-dmyhsAMP/\\@_*E+', max_size=14),
)  # fmt: skip
def test_no_format_fails(value: Any, form: str) -> None:
    assert isinstance(shown(value, form), str)
