from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ateneo.text.sentences import sentence_spans, sentence_units, split_sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["Hola.", "Chau."],
        ["El Sr. Gómez y la Dra. Ruiz firmaron.", "Nadie más."],
        ["Según el art. 5 y el núm. 12 corresponde pagar.", "Ver pág. 3."],
        ["Hay gastos, p. ej. Viáticos y comidas.", "Se rinden en 48 h."],
        ["El total es $ 1.234,50.", "Incluye IVA del 10.5 por ciento."],
        ["¿Cuántos días hay?", "¡Catorce!", "¿Y si trabajo un feriado?", "Se paga el doble."],
        ["«¿Vienes?», preguntó.", "(No respondió.)", "Se fue."],
        ["¡Hola! dijo ella.", "Nada más."],
        ["J. L. Borges nació en Buenos Aires.", "Murió en Ginebra."],
        ["La firma Textil S.A. de C.V. cerró.", "Abrió otra."],
        ["Firmó Textil S.A. Norte en mayo.", "Pagó Hilos S.R.L. Gómez el resto."],
        ["La firma es Textil S.A.", "El contrato vence.", "Es de Hilos S.A.", "¿Quién paga?"],
        ["Es de Aceros S. A. Rosario y de Hilos S. R. L. Tandil."],
        ["Vive en C.A.B.A. Tucumán le queda lejos.", "El vuelo sale 9 a.m. San Juan espera."],
        ["Papel, lápiz, etc. Gómez los compra.", "Tinta, etc.", "Los gastos se rinden."],
        ["Los EE.UU. Brasil y la S.A.D. Boca firmaron.", "Los CC. Gremiales también."],
        ["Aprobó la Dra. La Rosa con el Ing. De Luca y la Sra. Núñez.", "Fin."],
        ["Según el inc. 3 y la Res. 45, pág. 12, núm. 8.", "Rige."],
        ["¿Puede faltar?", "No.", "Debe avisar.", "Ver No. 5 del anexo."],
        ["Trajo cinco reses y una res.", "La otra quedó."],
        ["Presidió el Excmo. Sr. Gob. Juan Paz.", "Ud. Firma aquí."],
        ["A Petrobras S.A. Rio assinou.", "O contrato da Tintas Ltda. Silva venceu.", "Não vale."],
        ["A Sra. Souza e o Exmo. Sr. Dr. Lima vieram.", "Ver fls. 12 e pág. 3."],
        ["Comprou papel, tinta, etc.", "O resto fica."],
        ["Mr. Smith of Apple Inc. Ireland met Dr. Jones Jr. Monday.", "It ended."],
        ["It works in the U.S. Senate.", "It is 5 p.m.", "The office closes."],
        ["1. Pedir el formulario.", "2. Entregarlo firmado."],
        ["IV. Disposiciones finales.", "Rigen desde el lunes."],
        ["Fue en 2024.", "15 personas vinieron."],
        ["Los EE. UU. exportan.", "México también…", "¿O no?"],
        ["Vive en Av. Rivadavia 1200.", "Tel. 4555-1234."],
        ["会議は月曜日です。", "終わり。"],
    ],
)
def test_sentences_are_split_where_spanish_ends_them(sentences: list[str]) -> None:
    assert split_sentences(" ".join(sentences)) == sentences


def test_list_items_and_rows_stand_alone_but_wrapped_lines_flow_on() -> None:
    text = "Requisitos:\n- Título\n- experiencia\nUn párrafo que sigue\nen la otra línea.\n\nviene otro"
    assert split_sentences(text) == [
        "Requisitos:",
        "- Título",
        "- experiencia",
        "Un párrafo que sigue\nen la otra línea.",
        "viene otro",
    ]


@pytest.mark.parametrize("text", ["", " \n\t ", "\u00a0"])
def test_no_text_has_no_sentences(text: str) -> None:
    assert sentence_spans(text) == []


def test_a_row_of_a_table_is_one_sentence() -> None:
    rows = [
        "Hay tres. Son estos:",
        "Pintura | Stock: 3 u. | Nota: Seca en 2 h. Se diluye.",
        "ácido | Stock: 1 u. | Nota: ¿Quema? Sí.",
        "y nada más.",
    ]
    assert split_sentences("\n".join(rows)) == ["Hay tres.", "Son estos:", *rows[1:]]


@given(st.text() | st.text(alphabet=" .!?¿¡\n«»)aBñ1 SrDpág", max_size=200))
def test_no_character_is_lost_or_counted_twice(text: str) -> None:
    spans = sentence_spans(text)
    assert all(start < end for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert "".join("".join(text[s:e].split()) for s, e in spans) == "".join(text.split())


@pytest.mark.parametrize("unit", ["!", ".", ")", " ", "\n", "a.", "¿", ". "])
def test_long_runs_of_marks_are_read_in_one_pass(unit: str) -> None:
    text = "x" + unit * 100_000
    assert "".join("".join(s.split()) for s in split_sentences(text)) == "".join(text.split())


@given(st.text(alphabet="aB. \n\t¿?!1", max_size=60))
def test_units_joined_are_the_text(text: str) -> None:
    assert "".join(sentence_units(text)) == text.strip()
    assert all(unit.strip() for unit in sentence_units(text))
