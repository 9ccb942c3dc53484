from hypothesis import given
from hypothesis import strategies as st

from ateneo.text.source_label import LONGEST_OPENING, label, opening


def test_title_heading_and_page() -> None:
    assert label("Licencias", ("Licencias", "Plazos"), 3, "texto") == "Licencias · Plazos · p. 3"
    assert label("Licencias", ("Licencias",), None, "texto") == "Licencias"


def test_without_a_title_the_first_heading_or_the_first_words_stand_for_it() -> None:
    assert label(None, ("Manual", "Pago"), None, "texto") == "Manual · Pago"
    assert label(None, (), None, "\n\n## **Feriados**\nSe pagan doble.") == "Feriados"
    assert label(None, (), 2, "El depósito cierra a las seis.") == "El depósito cierra a las seis. · p. 2"


@given(st.text())
def test_an_opening_is_one_short_line(text: str) -> None:
    line = opening(text)
    assert line and len(line) <= LONGEST_OPENING + 1 and "\n" not in line


def test_a_long_line_is_cut_at_a_word() -> None:
    assert opening("El personal de planta " * 9) == "El personal de planta El personal de planta El personal de…"
