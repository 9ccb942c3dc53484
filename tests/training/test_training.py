"""How the bundled model is made: the leak check, what a word says in English, the lexicon's form."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ateneo.search import regional_synonyms

LEXICON = Path(regional_synonyms.__file__).with_name("lexicon_latam.tsv")
Load = Callable[[str], ModuleType]
TEXT = "El trabajador que preste servicios en días feriados cobrará el doble de su salario"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one evaluation set."""
    folder = tmp_path / "retrieval" / "juez"
    folder.mkdir(parents=True)
    for name, text in (("corpus", TEXT), ("queries", "¿Cuánto cobra?")):
        (folder / f"{name}.jsonl").write_text(json.dumps({"_id": "1", "text": text}), encoding="utf-8")
    return tmp_path


def pairs(load: Load, *spanish: str) -> list[object]:
    return [load("corpus").Pair("x", text, "s") for text in spanish]


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        (TEXT, True),
        ("Sepa que PRESTE servicios en dias, feriados: cobrara el doble.", True),  # eight words, written otherwise
        ("preste servicios en días feriados cobrará el resto", False),  # seven
        ("", False),
    ],
)
def test_eight_words_in_a_row_are_a_leak(module: Load, data: Path, text: str, leaks: bool) -> None:
    leak = module("leak")
    forbidden = leak.evaluation_ngrams(data)
    clean, dropped = leak.drop_leaks(pairs(module, text, *["otra cosa"] * 2000), forbidden)
    assert (len(clean), dropped) == (2001 - leaks, int(leaks))


def test_the_english_side_counts_too(module: Load, data: Path) -> None:
    leak = module("leak")
    rows = [module("corpus").Pair(TEXT, "x", "s"), *pairs(module, *["otra cosa"] * 2000)]
    assert leak.drop_leaks(rows, leak.evaluation_ngrams(data))[1] == 1


def test_many_leaks_or_nothing_to_check_against_end_the_build(module: Load, data: Path, tmp_path: Path) -> None:
    leak = module("leak")
    with pytest.raises(leak.LeakError, match="2 of 3"):
        leak.drop_leaks(pairs(module, TEXT, TEXT, "otra cosa"), leak.evaluation_ngrams(data))
    with pytest.raises(leak.LeakError, match="no evaluation sets"):
        leak.evaluation_ngrams(tmp_path / "retrieval")


def test_the_lexicon_is_well_formed(module: Load) -> None:
    lines = LEXICON.read_text(encoding="utf-8").splitlines()
    assert lines[0].split("\t") == ["term", "countries", "synonyms", "english"]
    assert all(line.count("\t") == 3 for line in lines)
    terms = module("corpus").read_terms(LEXICON)
    assert len(terms) >= 3000
    assert len({term.name for term in terms}) == len(terms)
    assert all(len(country) == 2 and country.isupper() for term in terms for country in term.countries)
    assert all(term.english.strip() and term.name.strip() == term.name for term in terms)
    assert not [term for term in terms if term.name in term.synonyms]


GLOSSES = {
    "plato": "plate",
    "platos": "cymbal",
    "feriado": "public holiday",
    "tener": "to have (something)",
    "guardar": "to save, to keep",
}
RANK = dict.fromkeys(("plate", "have", "save", "keep", "money", "wool", "yarn"), 1000)


@pytest.fixture
def glossary(module: Load) -> dict[str, tuple[str, ...]]:
    """Word -> its phrases, of a dictionary of five words, one regional term and one aligned word."""
    corpus = module("corpus")
    rows = [corpus.Pair(english, word, "wikt") for word, english in (GLOSSES | {"lana": "wool"}).items()]
    rows += pairs(module, *["el hilado de lana"] * 200)
    terms = [corpus.Term("lana", ("MX",), ("varo",), "money")]
    made = module("glossary").build_glossary({"hilado": [("yarn", 0.9)]}, rows, RANK, terms)
    return {word: tuple(phrase for phrase, _ in gloss.phrases) for word, gloss in made.items()}


@pytest.mark.parametrize(
    ("word", "first"),
    [
        ("feriado", "public holiday"),
        ("feriados", "public holiday"),
        ("platos", "plate"),  # not cymbal
        ("tenes", "have"),
        ("tuvieron", "have"),
        ("guardalo", "keep"),
        ("guardenlo", None),
        ("lana", "money"),
        ("varo", "money"),
        ("hilado", "yarn"),
    ],
)
def test_what_a_word_says(glossary: dict[str, tuple[str, ...]], word: str, first: str | None) -> None:
    assert glossary.get(word, (None,))[0] == first


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("pagar", "pague pago pagas pagaste pagame paguen"),
        ("hacer", "hice haria hago haces hacelo"),
        ("escribir", "escribis escribime escribinos escribio"),
        ("cerrar", "cierra cierro cerras"),
        ("conducir", "conduzco condujo"),
        ("constituir", "constituye constituyo"),
        ("luz", "luces"),
        ("camion", "camiones"),
        ("dia", "dias"),
        ("doctor", "doctora doctores doctoras"),
    ],
)
def test_inflections(module: Load, word: str, forms: str) -> None:
    made = module("morphology").forms(word)
    assert made[0] == word
    assert set(forms.split()) <= set(made)
    assert len(made) == len(set(made))


def test_typos_are_the_same_each_time_and_leave_short_words(module: Load) -> None:
    retrieval = module("retrieval")
    made = [retrieval.misspell(TEXT, random.Random(seed), share=1.0) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    changed = [(was, now) for was, now in zip(TEXT.split(), made[0].split(), strict=True) if was != now]
    assert len(changed) > 4
    assert all(len(was) >= 5 for was, _ in changed)


def test_the_plan_of_the_vocabulary(module: Load) -> None:
    planning, gloss = module("plan"), module("glossary").Gloss
    words = {
        "carpeta": gloss((("folder", 1.0),), frequency=9, usefulness=0.0),
        "carpetas": gloss((("folder", 1.0),), frequency=1, usefulness=0.0),
        "feriado": gloss((("public holiday", 1.0),), frequency=0, usefulness=0.0),
        "talonario": gloss((("a booklet with parts to tear off", 1.0),), frequency=0, usefulness=0.0),
    }
    plan = planning.plan_vocabulary(words, {"folder": 700}, [])
    assert (list(plan.own), plan.shared) == (["carpeta"], {"carpetas": "folder"})
    assert plan.glossed == {"feriado": "public holiday"}
    assert planning.gloss_lines({"a": "x y", "b": "z", "c": "x y"}) == "x y\ta c\nz\tb\n"


def test_sets_are_measured_each_and_crossed(module: Load, tmp_path: Path) -> None:
    """Two languages of the same five questions; meaning is the number in the text, which one question lacks."""
    for name, words in (("es", "tema {} con palabras"), ("en", "topic {} in words")):
        (tmp_path / name).mkdir()
        rows = [{"_id": str(n), "text": words.format(n)} for n in range(5)]
        asked = [{"_id": f"q{n}", "text": "otra cosa" if n == 3 else words.format(n)} for n in range(5)]
        for file, content in (("corpus", rows), ("queries", asked)):
            (tmp_path / name / f"{file}.jsonl").write_text("\n".join(map(json.dumps, content)), encoding="utf-8")
        qrels = ["query-id\tcorpus-id\tscore", *(f"q{n}\t{n}\t1" for n in range(5))]
        (tmp_path / name / "qrels.tsv").write_text("\n".join(qrels), encoding="utf-8")

    def embed(texts: list[str]) -> Any:
        return np.array([[float(str(n) in text) for n in range(5)] + [0.5] for text in texts])

    lines = module("evaluate").table(embed, [tmp_path / "es", tmp_path / "en"]).splitlines()
    # four are found first; of the fifth all passages are alike, and ties count as lost: place 5
    mean = f"{100 * (4 + 1 / math.log2(6)) / 5:.1f}"
    hard = f"{100 / math.log2(6):.1f}"
    assert lines[0].split(" | ")[-1] == "least overlap |"
    assert lines[2:] == [
        f"| es | {mean} | {mean} | {mean} | {mean} | {hard} |",
        f"| es, passages of en | {mean} |",
        f"| en | {mean} | {mean} | {mean} | {mean} | {hard} |",
        f"| en, passages of es | {mean} |",
    ]
