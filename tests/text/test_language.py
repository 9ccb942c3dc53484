"""The language of a text, on the project's own corpus and on texts that tell little."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ateneo.text.language import Language, detect

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/*/*.md"))
DOCS = sorted((Path(__file__).parents[2] / "docs" / "adr").glob("*.md"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_corpus_is_spanish(path: Path) -> None:
    assert detect(path.read_text(encoding="utf-8")) == "es"


def test_our_own_decisions_are_english() -> None:
    assert {detect(path.read_text(encoding="utf-8")) for path in DOCS} == {"en"}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("O prazo para devolver a mercadoria é de trinta dias, desde que não tenha sido usada.", "pt"),
        ("A senha do sistema é trocada a cada noventa dias no portal interno.", "pt"),
        ("La contraseña del sistema se cambia cada noventa días en el portal interno.", "es"),
        ("LA CONTRASEÑA DEL SISTEMA SE CAMBIA CADA NOVENTA DÍAS EN EL PORTAL INTERNO.", "es"),
        ("The password of the system is changed every ninety days.", "en"),
        ("Le contrat prend effet à la date de signature et les parties sont tenues de le respecter.", "fr"),
        ("Il contratto ha effetto dalla data della firma e le parti sono tenute a rispettarlo.", "it"),
        ("Der Vertrag gilt mit der Unterschrift beider Parteien und für die Dauer von zwölf Monaten.", "de"),
        ("El contracte té efecte amb la signatura i els companys són obligats a respectar-lo.", "ca"),
        ("Los Angeles Rams; Los Angeles Lakers; Los Angeles Clippers", "unknown"),
        ("SKU 00-1234-B | 12.000 | 8.500", "unknown"),
        ("", "unknown"),
        ("سنة 你好 🏖️", "unknown"),
    ],
)
def test_texts(text: str, language: str) -> None:
    assert detect(text) == language


def test_the_longer_part_decides() -> None:
    spanish = "La licencia se pide con un mes de anticipación y es de catorce días. "
    english = "The leave is to be asked for a month before. "
    assert detect(spanish * 5 + english) == "es"
    assert detect(english * 5 + spanish) == "en"


@given(st.text())
def test_any_text_has_an_answer(text: str) -> None:
    assert detect(text) in get_args(Language)
