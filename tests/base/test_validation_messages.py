"""What pydantic finds wrong is told in the reader's language, never in pydantic's own English."""

import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError

from ateneo import i18n
from ateneo.errors import SettingsError
from ateneo.i18n import tr
from ateneo.settings import load
from ateneo.validation_messages import broken_rule


class Colour(Enum):
    RED = "rojo"


class Object(BaseModel):
    name: str


def never(value: str) -> str:
    raise ValueError(tr("nunca vale", "it is never valid"))


CASES: list[tuple[Any, Any, str, str]] = [
    (int, "equis", "tiene que ser un número entero", "it must be a whole number"),
    (int, 1.5, "tiene que ser un número entero", "it must be a whole number"),
    (int, "9" * 5000, "tiene que ser un número entero", "it must be a whole number"),
    (float, "x", "tiene que ser un número", "it must be a number"),
    (str, 3, "tiene que ser texto", "it must be text"),
    (bool, "quizás", "tiene que ser sí o no (true, false)", "it must be yes or no (true, false)"),
    (Annotated[int, Field(ge=1)], 0, "tiene que ser 1 o más", "it must be 1 or more"),
    (Annotated[float, Field(gt=0)], 0, "tiene que ser mayor que 0.0", "it must be greater than 0.0"),
    (Annotated[int, Field(le=9)], 10, "tiene que ser 9 o menos", "it must be 9 or less"),
    (Annotated[int, Field(lt=9)], 9, "tiene que ser menor que 9", "it must be less than 9"),
    (
        Annotated[str, Field(max_length=2)],
        "abc",
        "le sobran caracteres (máximo: 2)",
        "it is too long (most characters: 2)",
    ),
    (
        Annotated[str, Field(min_length=2)],
        "a",
        "le faltan caracteres (mínimo: 2)",
        "it is too short (fewest characters: 2)",
    ),
    (Annotated[str, Field(pattern="^a{2}$")], "b", "no tiene la forma ^a{2}$", "it is not of the form ^a{2}$"),
    (
        Annotated[list[int], Field(max_length=1)],
        [1, 2],
        "le sobran elementos (máximo: 1)",
        "it is too long (most items: 1)",
    ),
    (list[int], 3, "tiene que ser una lista", "it must be a list"),
    (Literal["a", "b"], "c", "tiene que ser 'a' o 'b'", "it must be 'a' or 'b'"),
    (Colour, "azul", "tiene que ser 'rojo'", "it must be 'rojo'"),
    (Object, 3, "tiene que ser un objeto JSON", "it must be a JSON object"),
    (Object, {}, "falta", "it is missing"),
    (datetime.date, "ayer", "tiene que ser una fecha: 2026-09-06", "it must be a date: 2026-09-06"),
    (Annotated[str, AfterValidator(never)], "x", "nunca vale", "it is never valid"),
    (complex, "j?", "no es un valor válido", "it is not a valid value"),
]


@pytest.mark.parametrize(("kind", "value", "es", "en"), CASES, ids=[case[2] for case in CASES])
def test_each_rule_in_both_languages(kind: Any, value: Any, es: str, en: str) -> None:
    for language, expected in ((i18n.current(), es), ("en", en)):
        i18n.use(language)
        try:
            TypeAdapter(kind).validate_python(value)
            raise AssertionError("it is valid")
        except ValidationError as error:
            assert broken_rule(error.errors()[0]) == expected
        finally:
            i18n.use("es")


def test_a_setting_names_its_rule(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATENEO_POOL_SIZE", "9999")
    with pytest.raises(SettingsError, match=r"^ATENEO_POOL_SIZE: tiene que ser 200 o menos\. "):
        load(tmp_path / "none")
