from collections.abc import Sequence

import pytest
from tests.providers.collected import Collected, collected

from ateneo import i18n
from ateneo.agents.citations import occurs
from ateneo.agents.extractive import ExtractiveChat
from ateneo.agents.quotable_sentences import content_words, coverage, quotables
from ateneo.embedding.service import EmbeddingService
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.types import ChatRequest, Hit

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


async def test_meaning_finds_what_words_do_not() -> None:
    question = "¿debo regresar la laptop al final?"
    assert (await ask(question)).quotes == []
    async with EmbeddingService(LocalEmbedder(bundled_model_dir())) as embedding:
        answer = await collected(ExtractiveChat(embedding), request(question))
        nothing = await collected(ExtractiveChat(embedding), request("receta de pan casero"))
    assert [one.quote for one in answer.quotes] == ["La computadora se devuelve al terminar el contrato."]
    assert nothing.text.startswith("No lo sé")


async def test_words_in_common_add_to_meaning() -> None:
    sentence = "La computadora se devuelve al terminar el contrato."
    async with EmbeddingService(LocalEmbedder(bundled_model_dir())) as embedding:
        # Without words the evidence is (1 + 0.5) / 2 at most.
        answer = await collected(ExtractiveChat(embedding, least_evidence=0.8), request(sentence, [hit("a", sentence)]))
    assert [one.quote for one in answer.quotes] == [sentence]


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
