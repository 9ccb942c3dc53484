from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.providers.collected import Collected, collected

from ateneo import i18n
from ateneo.agents.citations import occurs
from ateneo.agents.excerpt import excerpt
from ateneo.agents.extractive import ExtractiveChat
from ateneo.agents.quotable_sentences import content_words, coverage, quotables
from ateneo.embedding.current_model import Models
from ateneo.embedding.scale import scale_of
from ateneo.embedding.service import EmbeddingService
from ateneo.providers.local import LocalEmbedder, bundled_model_dir, bundled_model_dirs
from ateneo.search.relevance import relevance
from ateneo.types import ChatRequest, Embedded, Generation, Hit, Kind

NOTICE = "Respuesta extractiva: frases textuales de los documentos, sin modelo de lenguaje."


def hit(chunk_id: str, contenido: str, *headings: str) -> Hit:
    return Hit(
        chunk_id=chunk_id,
        document_id="doc",
        chunk_index=None,
        contenido=contenido,
        score=1.0,
        dense_score=0.5,
        lexical_score=1.0,
        dense_rank=1,
        lexical_rank=1,
        headings=headings,
    )


PASSAGES = (
    hit(
        "fer",
        "Manual > Feriados\nEl personal que trabaje un feriado cobra la jornada doble. Los puentes se pagan simples.",
        "Manual",
        "Feriados",
    ),
    hit("tel", "# Teletrabajo\nLa computadora se devuelve al terminar el contrato. Sí. Ver planilla.", "Teletrabajo"),
)


def request(message: str, passages: Sequence[Hit] = PASSAGES) -> ChatRequest:
    return ChatRequest(system="", message=message, passages=passages, max_tokens=100)


async def ask(message: str, passages: Sequence[Hit] = PASSAGES) -> Collected:
    return await collected(ExtractiveChat(), request(message, passages))


async def test_quotes_the_sentence_that_fits_and_says_what_it_is() -> None:
    answer = await ask("¿Qué cobra el personal que trabaja un feriado?")
    assert answer.text == f"{NOTICE}\n\n«El personal que trabaje un feriado cobra la jornada doble.»"
    [quote] = answer.quotes
    assert quote.chunk_id == "fer"
    assert occurs(quote.quote, PASSAGES[0].contenido)
    assert (answer.stop_reason, answer.model) == ("end_turn", "extractive")


async def test_quotes_name_their_passage() -> None:
    answer = await ask("¿cuándo se devuelve la computadora?")
    assert "«La computadora se devuelve al terminar el contrato.»" in answer.text
    assert [one.chunk_id for one in answer.quotes] == ["tel"]


@pytest.mark.parametrize("message", ["¿quién ganó el mundial de 1986?", "¿qué es esto?", "???"])
async def test_says_that_it_does_not_know(message: str) -> None:
    answer = await ask(message)
    assert answer.text.startswith("No lo sé")
    assert answer.quotes == []
    assert NOTICE not in answer.text


async def test_knows_nothing_without_passages() -> None:
    assert (await ask("¿cuánto cobro?", ())).text.startswith("No lo sé")


async def test_speaks_english_when_asked_to() -> None:
    i18n.use("en")
    try:
        answer = await ask("feriado jornada doble")
    finally:
        i18n.use("es")
    assert answer.text.startswith("Extractive answer: sentences quoted")


async def found(embedding: EmbeddingService, question: str, passages: Sequence[Hit] = PASSAGES) -> ChatRequest:
    """As a search by meaning would find them."""
    asked = await embedding.embed_query(question)
    read = await embedding.embed_matrix([one.contenido for one in passages])
    scale = await scale_of(embedding)
    hits = []
    for one, cosine in zip(passages, map(float, read.vectors @ asked), strict=True):
        near = replace(one, score=cosine, dense_score=cosine)
        hits.append(replace(near, relevance=relevance(near, scale, len(passages))))
    return request(question, hits)


@pytest.mark.parametrize("folder", bundled_model_dirs(), ids=lambda folder: folder.name)
async def test_meaning_finds_what_words_do_not_and_is_silent_on_other_subjects(folder: Path) -> None:
    question = "¿debo regresar la laptop al final?"
    assert (await ask(question)).quotes == []
    async with EmbeddingService(LocalEmbedder(folder)) as embedding:
        chat = ExtractiveChat(embedding)
        answer = await collected(chat, await found(embedding, question))
        nothing = await collected(chat, await found(embedding, "receta de pan casero"))
    assert [one.quote for one in answer.quotes] == ["La computadora se devuelve al terminar el contrato."]
    assert nothing.text.startswith("No lo sé")


PAY = hit(
    "pago",
    "Feriados\nEl personal que preste servicio en un feriado cobra el doble del valor habitual. "
    "Quien no trabaje ese día percibe su salario normal. El franco se da dentro de los treinta días.",
    "Feriados",
)


async def test_where_no_sentence_stands_out_the_passage_is_quoted_with_the_best_marked() -> None:
    async with EmbeddingService(LocalEmbedder(bundled_model_dir())) as embedding:
        asked = await found(embedding, "me quedo en casa ese día, ¿pierdo plata?", [PAY])
        answer = await collected(ExtractiveChat(embedding), asked)
    [quote] = answer.quotes
    assert quote.quote == "Quien no trabaje ese día percibe su salario normal."
    assert f"**{quote.quote}**" in answer.text
    shown = answer.text.split("«")[1].split("»")[0].replace("**", "")
    assert shown == PAY.contenido.removeprefix("Feriados\n")


async def test_a_sentence_that_stands_out_is_quoted_alone() -> None:
    question = "¿cuánto me pagan si laburo un feriado?"
    passage = replace(PAY, contenido="Los feriados se pagan doble a quien los trabaja. El comedor abre a las doce.")
    async with EmbeddingService(LocalEmbedder(bundled_model_dir())) as embedding:
        answer = await collected(ExtractiveChat(embedding), await found(embedding, question, [passage]))
    assert answer.text.split("\n\n")[1] == "«Los feriados se pagan doble a quien los trabaja.»"


async def test_passages_are_quoted_once_each_and_best_first() -> None:
    other = hit("otro", "El feriado se anuncia en la cartelera. Los puentes del feriado los fija la dirección.")
    answer = await ask("feriado doble", [replace(other, score=0.4), replace(PAY, score=0.9)])
    assert [one.chunk_id for one in answer.quotes] == ["pago"]
    answer = await ask("feriado", [replace(other, score=0.4), replace(PAY, score=0.9)])
    assert [one.chunk_id for one in answer.quotes] == ["pago", "otro"]


async def test_a_sentence_that_refers_back_takes_the_one_before() -> None:
    passage = hit(
        "p", "La licencia por paternidad dura quince días. Ese plazo se cuenta desde el alta. Se pide por nota."
    )
    answer = await ask("¿desde cuándo se cuenta el plazo? ¿desde el alta?", [passage])
    [quote] = answer.quotes
    assert quote.quote == "Ese plazo se cuenta desde el alta."
    assert "«La licencia por paternidad dura quince días. Ese plazo se cuenta desde el alta.»" in answer.text


async def test_an_item_takes_the_head_of_its_list() -> None:
    passage = hit(
        "p",
        "Para el reintegro hace falta lo que sigue:\n- factura con el nombre del paciente\n- copia del carnet al día",
    )
    answer = await ask("¿piden copia del carnet?", [passage])
    assert "«Para el reintegro hace falta lo que sigue: - copia del carnet al día»" in answer.text


TABLE = hit(
    "t",
    "Precios\nCódigo | Estudio | Precio\n"
    "A-1 | Estudio: Glucosa en ayuno | Precio: $95\nA-2 | Estudio: Prolactina | Precio: $340\n\n"
    "Los precios incluyen el informe firmado.",
    "Precios",
)


@pytest.mark.parametrize(
    ("question", "quoted"),
    [
        ("precio de la prolactina", "A-2 | Estudio: Prolactina | Precio: $340"),
        ("¿qué incluyen los precios? ¿el informe?", "Los precios incluyen el informe firmado."),
    ],
)
async def test_a_row_is_quoted_where_it_is_the_one_asked_for(question: str, quoted: str) -> None:
    assert [one.quote for one in (await ask(question, [TABLE])).quotes] == [quoted]


class Unused(LocalEmbedder):
    async def embed(self, texts: Sequence[str], kind: Kind = "passage") -> Embedded:
        raise AssertionError(texts)


async def test_the_model_that_found_the_passages_weighs_their_sentences() -> None:
    settings_own, folder = bundled_model_dirs()
    async with EmbeddingService(LocalEmbedder(folder)) as active:
        generation = Generation(1, "local", active.model, 384, legacy=False, active=True)
        models = Models(EmbeddingService(Unused(settings_own)), lambda one: active if one == generation else None)
        asked = replace(await found(active, "¿y los feriados?", [PAY]), generation=generation)
        answer = await collected(ExtractiveChat(models), asked)
    assert answer.quotes


def test_headings_and_scraps_are_not_quoted() -> None:
    assert [one.text for one in quotables(PASSAGES)] == [
        "El personal que trabaje un feriado cobra la jornada doble.",
        "Los puentes se pagan simples.",
        "La computadora se devuelve al terminar el contrato.",
    ]
    assert [one.number for one in quotables((*PASSAGES, PASSAGES[0]))] == [1, 1, 2]


def test_words_meet_across_accents_number_and_gender() -> None:
    assert content_words("Vacación") == content_words("vacaciones")
    assert content_words("los FERIADOS nacionales") == content_words("el feriado nacional")
    assert content_words("¿Qué es lo que hay?") == frozenset()


def test_coverage_weighs_rare_words_more() -> None:
    rare, common, nothing = coverage("feriado personal", ["un feriado", "el personal", "personal nuevo"])[:3]
    assert rare > common == nothing > 0
    assert coverage("???", ["algo"]) == [0.0]
    assert coverage("feriado", []) == []


def test_an_excerpt_takes_whole_sentences_around_one_and_no_heading() -> None:
    text = "Pagos > ¿Cuándo?\nUno es corto. Dos es corto. Tres es corto. Cuatro es corto."
    body = ["Uno es corto.", "Dos es corto.", "Tres es corto.", "Cuatro es corto."]
    assert excerpt(text, "Tres es corto.", body) == "Uno es corto. Dos es corto. **Tres es corto.** Cuatro es corto."
    assert excerpt(text, "Tres es corto.", body, most=30) == "Dos es corto. **Tres es corto.**"
    assert excerpt(text, "Tres es corto.", body, most=5) == "**Tres es corto.**"
