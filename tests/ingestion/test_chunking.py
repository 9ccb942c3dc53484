"""Chunks against three counters that behave as real tokenisers do: by word, by byte, and with the unknown word."""

import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ateneo.errors import BadArgument
from ateneo.ingestion.chunking import CHARS_PER_TOKEN, chunk
from ateneo.ports import TokenCounter
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.types import Chunk, Document, Hit, Section


class Words:
    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(re.findall(r"\w+|[^\w\s]", text)) + 2 for text in texts]


class Bytes:
    """About four bytes a token, so that joints may cost one more."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [-(-len(text.encode()) // 4) for text in texts]


COUNTERS: list[TokenCounter] = [Words(), Bytes(), LocalEmbedder(bundled_model_dir(), threads=1)]


def document(*sections: Section) -> Document:
    return Document(title="Manual", mime="text/plain", sections=sections)


def found(one: Chunk) -> Hit:
    return Hit("c", "d", 0, one.contenido, 1.0, None, 1.0, None, 1, page=one.page, page_breaks=one.page_breaks)


def body(one: Chunk) -> str:
    first, _, rest = one.contenido.partition("\n")
    return rest if one.headings and first == " > ".join(one.headings) else one.contenido


def letters(text: str) -> str:
    return "".join(text.split())


def numbered(count: int, start: int = 0) -> str:
    return " ".join(f"La regla número {n} dice que el plazo es de {n} días." for n in range(start, start + count))


texts = st.text(max_size=400) | st.lists(
    st.text(alphabet="abcñéX.!?¿ \n\t\u0301\u200d🏖م会。", max_size=300), max_size=4
).map("\n\n".join)
headings = st.sampled_from([(), ("T",), ("T", "Uno"), ("T", "Dos"), ("T", "Dos", "Sub")])
sections = st.builds(Section, text=texts, headings=headings, page=st.none() | st.integers(1, 9))


@given(st.lists(sections, max_size=5), st.sampled_from(COUNTERS), st.integers(16, 60), st.integers(0, 8))
def test_limits_hold_and_nothing_is_empty(
    given_sections: list[Section], counter: TokenCounter, max_tokens: int, overlap: int
) -> None:
    chunks = chunk(document(*given_sections), counter, max_tokens=max_tokens, overlap=overlap)
    assert [one.index for one in chunks] == list(range(len(chunks)))
    assert all(one.contenido.strip() for one in chunks)
    assert [one.tokens for one in chunks] == counter.count_tokens([one.contenido for one in chunks])
    assert all(one.tokens <= max_tokens for one in chunks)
    assert all(len(body(one)) <= max_tokens * CHARS_PER_TOKEN for one in chunks)


@given(st.lists(texts, max_size=4), st.sampled_from(COUNTERS), st.integers(16, 60))
def test_without_overlap_the_bodies_are_the_text(given_texts: list[str], counter: TokenCounter, limit: int) -> None:
    chunks = chunk(document(*[Section(text) for text in given_texts]), counter, max_tokens=limit, overlap=0)
    assert "".join(letters(one.contenido) for one in chunks) == "".join(letters(text) for text in given_texts)


@given(st.text(max_size=600), st.sampled_from(COUNTERS), st.integers(0, 16))
def test_with_overlap_each_chunk_goes_on_where_the_last_one_ended_or_before(
    text: str, counter: TokenCounter, overlap: int
) -> None:
    whole = letters(text)
    covered = 0
    for one in chunk(document(Section(text)), counter, max_tokens=32, overlap=overlap):
        part = letters(one.contenido)
        goes_on = [at for at in range(covered + 1) if whole.startswith(part, at) and at + len(part) > covered]
        assert goes_on
        covered = goes_on[-1] + len(part)
    assert covered == len(whole)


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=8), st.integers(24, 90))
def test_each_sentence_of_a_chunk_has_its_page(turns: list[tuple[int, bool]], max_tokens: int) -> None:
    given_sections = [
        Section(" ".join(f"La página {page} dice esto {n} veces." for n in range(count)), ("T",), page, continues)
        for page, (count, continues) in enumerate(turns, start=1)
    ]
    for one in chunk(document(*given_sections), Words(), max_tokens=max_tokens, overlap=8):
        hit = found(one)
        pages = {int(said[1]): hit.page_at(said.start()) for said in re.finditer(r"La página (\d+)", one.contenido)}
        assert all(page == shown for page, shown in pages.items())
        assert len(one.page_breaks) == (len(pages) if len(pages) > 1 else 0)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.integers(40, 90))
def test_a_head_stands_with_what_it_introduces(before: list[int], max_tokens: int) -> None:
    lists = "\n\n".join(
        f"{numbered(count, 10 * at)}\n\nEn el caso {at} se pide:\n\n- el documento {at}"
        for at, count in enumerate(before)
    )
    chunks = chunk(document(Section(lists)), Words(), max_tokens=max_tokens, overlap=0)
    for at in range(len(before)):
        [holder] = [one for one in chunks if f"En el caso {at} se pide:" in one.contenido]
        assert f"- el documento {at}" in holder.contenido


def test_a_sentence_that_a_page_divides_begins_on_the_first() -> None:
    sections = [
        Section("Uno va antes. El plazo es", ("T",), 3),
        Section("de diez días. Dos va después.", ("T",), 4, True),
    ]
    [one] = chunk(document(*sections), Words(), max_tokens=64, overlap=0)
    assert "El plazo es de diez días." in one.contenido
    assert [found(one).page_at(one.contenido.index(said)) for said in ("Uno", "El plazo", "Dos")] == [3, 3, 4]


@pytest.mark.parametrize("counter", COUNTERS, ids=lambda counter: type(counter).__name__)
@pytest.mark.parametrize("text", ["x" * 100_000, "palabra " * 20_000, "🏖" * 20_000, "e\u0301" * 20_000])
def test_a_text_without_sentences_is_cut_all_the_same(text: str, counter: TokenCounter) -> None:
    chunks = chunk(document(Section(text, ("T",))), counter, max_tokens=200, overlap=32)
    assert all(one.tokens <= 200 for one in chunks)
    assert sum(len(letters(body(one))) for one in chunks) >= len(letters(text))


def test_white_space_alone_makes_no_chunks() -> None:
    chunks = chunk(document(Section("uno" + " " * 100_000 + "dos")), Words(), max_tokens=64, overlap=0)
    assert [letters(one.contenido) for one in chunks] == ["uno", "dos"]


def test_a_word_is_cut_between_whole_characters() -> None:
    chunks = chunk(document(Section("e\u0301" * 3000)), Words(), max_tokens=16, overlap=0)
    assert len(chunks) > 1
    assert all(one.contenido.startswith("e") for one in chunks)


def test_each_chunk_begins_with_its_heading_path_and_keeps_its_page() -> None:
    sections = [
        Section(numbered(12), ("Manual", "Licencias"), 1),
        Section(numbered(12, 12), ("Manual", "Licencias"), 2),
        Section(numbered(12, 24), ("Manual", "Feriados"), 3),
    ]
    chunks = chunk(document(*sections), Words(), max_tokens=80, overlap=20)
    assert all(one.contenido.startswith(" > ".join(one.headings) + "\n") for one in chunks)
    assert [one.headings[1] for one in chunks] == sorted((one.headings[1] for one in chunks), reverse=True)
    assert [one.page for one in chunks] == sorted(one.page or 0 for one in chunks)
    assert {one.page for one in chunks} == {1, 2, 3}
    for one in chunks:
        rules = [int(n) for n in re.findall(r"número (\d+)", one.contenido)]
        assert all(rule >= 24 for rule in rules) == (one.headings[1] == "Feriados")


def test_neighbours_share_whole_sentences_within_the_overlap() -> None:
    chunks = chunk(document(Section(numbered(30))), Words(), max_tokens=80, overlap=30)
    rules = [re.findall(r"número (\d+)", one.contenido) for one in chunks]
    assert all(left[-2:] == right[:2] for left, right in pairwise(rules))
    assert all(one.contenido.startswith("La regla") and one.contenido.endswith("días.") for one in chunks)


def test_no_sentence_is_shared_across_headings() -> None:
    sections = [Section(numbered(3), ("T", "A")), Section(numbered(3, 50), ("T", "B"))]
    chunks = chunk(document(*sections), Words(), max_tokens=100, overlap=50)
    assert len(chunks) == 2
    assert "número 2 " not in chunks[1].contenido


def test_a_chunk_ends_with_a_paragraph_where_one_is_near() -> None:
    text = "\n\n".join(numbered(4, start) for start in range(0, 40, 4))
    chunks = chunk(document(Section(text)), Words(), max_tokens=80, overlap=0)
    ends = [int(re.findall(r"número (\d+)", one.contenido)[-1]) for one in chunks]
    assert all(end % 4 == 3 for end in ends)


def test_tiny_neighbours_under_one_parent_share_a_chunk_with_their_headings() -> None:
    faq = [Section(f"Sí, el {n}.", ("Preguntas", f"¿Pregunta {n}?")) for n in range(3)]
    long = Section(numbered(5), ("Preguntas", "Reglas"))
    other = Section("Fin.", ("Otro", "Anexo"))
    chunks = chunk(document(*faq, long, other), Words(), max_tokens=200, overlap=0)
    assert chunks[0].headings == ("Preguntas",)
    assert chunks[0].contenido.startswith("Preguntas\n¿Pregunta 0?\nSí, el 0.\n\n¿Pregunta 1?\nSí, el 1.\n\n")
    assert chunks[-1].contenido == "Otro > Anexo\nFin."


def test_a_heading_too_long_for_the_first_line_stays_in_the_text() -> None:
    heading = "muy " * 40 + "largo"
    chunks = chunk(document(Section("Cuerpo.", ("T", heading))), Words(), max_tokens=32, overlap=0)
    assert letters("".join(one.contenido for one in chunks)) == letters(heading + "Cuerpo.")


def test_a_document_without_text_has_no_chunks() -> None:
    assert chunk(document(), Words(), max_tokens=32, overlap=0) == []
    assert chunk(document(Section(" \n ", ("T",))), Words(), max_tokens=32, overlap=0) == []


@pytest.mark.parametrize(("max_tokens", "overlap"), [(15, 0), (0, 0), (32, 17), (32, -1)])
def test_sizes_that_make_no_sense_are_refused(max_tokens: int, overlap: int) -> None:
    with pytest.raises(BadArgument):
        chunk(document(Section("Hola.")), Words(), max_tokens=max_tokens, overlap=overlap)


def test_tokens_are_counted_in_bulk() -> None:
    class Counting(Words):
        calls = 0

        def count_tokens(self, texts: Sequence[str]) -> list[int]:
            self.calls += 1
            return super().count_tokens(texts)

    counter = Counting()
    sections = [Section(numbered(60), ("Manual", f"Capítulo {n}"), n) for n in range(1, 50)]
    assert len(chunk(document(*sections), counter, max_tokens=200, overlap=32)) > 150
    assert counter.calls < 10
