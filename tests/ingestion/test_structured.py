"""JSON and XML as lines: every value is there, one record a line."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ateneo.ingestion.parsing.sections import SectionBuilder
from ateneo.ingestion.parsing.structured import read_json, read_xml

NAME = st.text("abcñ", min_size=1, max_size=4)
VALUES: Any = st.recursive(
    st.integers() | st.text("xyzá 12", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3),
    max_leaves=12,
)


def text_of(builder: SectionBuilder | None) -> str:
    assert builder is not None
    return "\n".join(section.text for section in builder.sections())


def scalars(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [one for inner in value.values() for one in scalars(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in scalars(inner)]
    return [" ".join(str(value).split())]


@given(st.lists(VALUES, max_size=4) | st.dictionaries(NAME, VALUES, max_size=4))
def test_no_value_is_lost(value: Any) -> None:
    text = text_of(read_json(json.dumps(value)))
    assert all(one in text for one in scalars(value))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[{"a": 1, "b": {"c": 2, "d": [3, 4]}}, {"a": 5}]', "a: 1 | b / c: 2 | b / d: 3, 4"),
        ('{"sede": "Oberá", "turnos": [{"dia": "lunes", "hora": 8}]}', "turnos | dia: lunes | hora: 8"),
        ('{"a": 1}\n{"a": 2}\n', "a: 2"),
    ],
)
def test_a_record_is_a_line(text: str, line: str) -> None:
    assert line in text_of(read_json(text)).split("\n")


def test_xml_is_read_by_its_elements() -> None:
    page = (
        "<feed><item id='1'><nombre>Pala</nombre><precio>90</precio></item>"
        "<item id='2'><nombre>Pico</nombre></item></feed>"
    )
    assert text_of(read_xml(page)).split("\n") == [
        "item | id: 1 | nombre: Pala | precio: 90",
        "item | id: 2 | nombre: Pico",
    ]


@pytest.mark.parametrize("text", ["hola", "{", "12", "<a>", ""])
def test_what_is_neither_is_left_to_others(text: str) -> None:
    assert read_json(text) is None
    assert read_xml(text) is None
