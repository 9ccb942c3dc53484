"""No text breaks a company: every SQL function that reads text, the chunks table's triggers, statistics and search
take whatever people and machines write."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.cli.run import ateneo
from tests.examples import examples

from ateneo.db import generations, health, migrate, statistics
from ateneo.db.pool import Connection, Database

DATES = {
    "6 de setiembre de 2026": "d:20260906",
    "6 de Septiembre del 2026": "d:20260906",
    "3 de fevereiro de 2027": "d:20270203",
    "1º de março de 2027": "d:20270301",
    "31 de dezembro de 1999": "d:19991231",
    "9 de ene de 2020": "d:20200109",
    "12 de sept de 2020": "d:20200912",
    "acta 12 de consejo de 2019": None,
    "los 4 de siempre de 2020": None,
    "las 12 de marzapanes de 2019": None,
    "8 de ro de 2020": None,
    "8 de ener0 de 2020": None,
}

ODD = {
    **{text: text for text in DATES},
    "empty": "",
    "blank": " \t\r\n\u00a0\u2003\u3000 ",
    "stop words": "de la que el en y a los del se las por un para con no una su al lo",
    "stop words in English": "the of and to in is was what which who",
    "Portuguese": "A reunião de 15 de maio de 2024, às 14h30, custou R$ 1.234,56 por informações não enviadas.",
    "English": "On March 3rd, 2025 the board's 12 of council of 2019 paid $1,234.56 (see #RFC-2104).",
    "guaraní": "Ñemoñe'ẽ ñe'ẽ g̃uarã, mba'éichapa; 6 de jasyporundy de 2026",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x80\x85\x9f palabra",
    "directions": "\u202eabc\u202c \u2066def\u2069 \u200e\u200f שלום עולם مرحبا بالعالم ١٢٣ ۱۲۳",
    "invisible": "\u200b\u200c\u200d\ufeff\u2060\u00adpala\u00adbra\u180e",
    "lone marks": "\u0301\u0308\u20dd e\u0301\u0323\u0302 \u0303n n\u0303 n\u0303\u0303 " + "a" + "\u0301" * 300,
    "emoji": "👩‍👩‍👧‍👦 🇺🇾 👍🏽 1️⃣ ☃️ 6 de 🎄 de 2026",
    "outside the BMP": "𝐀𝐁𝐂 𝟏𝟐/𝟎𝟑/𝟐𝟎𝟐𝟓 𠀀𠀁𠀂 \U0010fffd",
    "other letters": "İstanbul ﬁn ẞ ǆ ﷺ \U0001d160 Ⅻ ½ ² ١٢/٠٣/٢٠٢٥ １２/０３/２０２５ Ⱥ Κόσμος Привет 日本語 ภาษา",
    "noncharacters": "\ufffe\uffff\ufffd \ue000 \U000f0000",
    "numbers": "0 00 1. .1 1,2,3.4 1.000.000,00 -12/03/2025 99/99/9999 2025-13-45 1/2 3,14 1e400 ١.٢ 1234567890123,1",
    "codes": "RG-4310/2021 00-1234-B a.b@c.d http://x.y/z?a=1&b=2#c C:\\dir\\f.txt a_b-c/d.e f--g ..1..2.. -/1_2/- 1_-",
    "marks": "¿¡«»“”''\"\"()[]{}<>*|;:!%$€#&~^`´¨ -- // .. ,, __ @@ \\ \\\\ %s %1$s $1 $$ {} {NULL} NULL '",
    "quotes": "\"frase exacta\" -sin «otra» \"\" \" -- -",
    "operators": "a & b | !c <-> d:* (e ''",
    "a word of 3,000 letters": "palabra " + "a" * 3000,
    "a word of 300,000 letters": "ñ" + "x" * 300_000,
    "a code of 50,000 parts": "palabra " + "1-" * 50_000,
    "a number of 50,000 digits": "1" * 50_000 + ",50 " + "1.000" * 9_000,
    "a megabyte": "El contrato 12/03/2025 dice que no. " * 30_000,
    "30,000 words": " ".join(f"palabra{n}" for n in range(30_000)),
    "30,000 codes": " ".join(f"c-{n}" for n in range(30_000)),
    "20,000 dates": " ".join(f"{n % 99} de setiembre de 20{n % 100:02}" for n in range(20_000)),
    "words of four bytes a letter": " ".join(chr(0x20000 + n) for n in range(40_000)),
    "words of four bytes a letter, with ñ": " ".join(f"ñ{chr(0x20000 + n)}{n:05x}𠀀" for n in range(42_000)),
    "a megabyte of marks": "\u0301" * 500_000,
    "a megabyte of one emoji": "👍" * 250_000,
}  # fmt: skip

_INSERT = "INSERT INTO knowledge_chunks (id, empresa_id, contenido, embedding) VALUES ($1, $2, $3, $4::text::vector)"
_FUNCTIONS = """
SELECT p.oid::regprocedure::text AS signature, p.proname AS name, p.proretset AS gives_set,
  coalesce(p.proargnames, '{}')::text[] AS names,
  ARRAY(SELECT format_type(a, NULL) FROM unnest(p.proargtypes::oid[]) a)::text[] AS types
FROM pg_proc p WHERE p.pronamespace = 'ateneo'::regnamespace AND p.prokind = 'f'
  AND p.proargtypes::oid[] && ARRAY['text', 'text[]', 'character varying']::regtype[]::oid[]
ORDER BY p.oid::regprocedure::text
"""
_VALUES = {
    "smallint": "1",
    "integer": "4",
    "bigint": "4",
    "integer[]": "ARRAY[4]",
    "bigint[]": "ARRAY[4]",
    "double precision": "1.0",
    "boolean": "false",
    "interval": "'1 minute'",
    "jsonb": "'{}'",
    "jsonb[]": "ARRAY['[]'::jsonb]",
    "regclass": "'public.knowledge_chunks'",
    "bytea": "sha256('')",
    "uuid": "gen_random_uuid()",
    "bytea[]": "ARRAY[sha256('')]",
    "real[]": "'{1,0,0,0}'",
    "vector": "'[1,0,0,0]'",
    "vector[]": "ARRAY['[1,0,0,0]']",
    "ateneo.chunk_lex": "NULL",
    "text": "$1::text",
    "text[]": "ARRAY[$1::text]",
}
_JSON = {
    "p_agent": "jsonb_build_object('agent_id', left($1, 300), 'name', $1, 'instructions', $1, 'k', 1,"
    " 'context_tokens', 1, 'tools', '{}'::text[])",
    "p_document": "jsonb_build_object('document_id', left($1, 300), 'title', $1, 'source', left($1, 300), 'mime', 'm',"
    " 'content_hash', '\\\\x00', 'bytes', 1, 'file_metadata', jsonb_build_object('a', $1), 'arrival', 1)",
    "p_entries": "jsonb_build_array(jsonb_build_object('actor', $1, 'action', $1, 'status', 200))",
    "p_queries": "jsonb_build_array(jsonb_build_object('query', $1, 'times', 1))",
}
"""By name of the parameter, what is stored of it."""
_SHORT = re.compile(r"(^|_)(empresas?|ids?|companies|worker|after|rest|word|x|y)(_|$)")
"""Names of parameters that take a key, a word or a question: they are not as long as a text may be."""
_REFUSED = "ateneo: "
"""How the functions' own refusals begin; anything else that is raised is a fault."""


def _call(function: Any) -> str:
    parts = []
    for name, kind in zip(function["names"], function["types"], strict=False):
        value = _JSON.get(name, _VALUES[kind]) if kind == "jsonb" else _VALUES[kind]
        parts.append(f"{value.replace('$1', 'left($1, 300)') if _SHORT.search(name) else value}::{kind}")
    return f'SELECT * FROM ateneo."{function["name"]}"({", ".join(parts)}) AS answer'


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    await generations.create(database, "local", "m", 4)
    async with database.acquire() as connection:
        yield connection


async def answer(connection: Connection, sql: str, text: str) -> list[Any]:
    """What a function says of the text, in a transaction of its company that leaves nothing behind."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("SELECT set_config('ateneo.empresa_id', left($1, 300), true)", text)
        return list(await connection.fetch(sql, text))
    except asyncpg.PostgresError as error:
        if not str(error).startswith(_REFUSED):
            raise AssertionError(f"{sql} for {text[:80]!r}: {error}") from error
        return []
    finally:
        await transaction.rollback()


def holes(rows: list[Any], *, a_set: bool) -> bool:
    """Whether there is a NULL inside an array, or among the values of a set."""
    values = [value for row in rows for value in row.values()]
    return (a_set and len(values) == len(rows) and None in values) or any(
        None in value for value in values if isinstance(value, list)
    )


_LONG = [name for name, text in ODD.items() if len(text) > 5000]
_GROUPS = {"short texts": [text for text in ODD.values() if len(text) <= 5000], **{name: [ODD[name]] for name in _LONG}}
_QUICK = {"short texts", "a word of 300,000 letters", "a code of 50,000 parts", "30,000 words"}
_EACH_GROUP = [pytest.param(name, marks=[] if name in _QUICK else pytest.mark.long) for name in _GROUPS]


@pytest.mark.parametrize("group", _EACH_GROUP)
async def test_every_function_of_texts_takes_any_text(connection: Connection, group: str) -> None:
    functions = await connection.fetch(_FUNCTIONS)
    assert len(functions) > 50
    for text in _GROUPS[group]:
        await connection.execute(_INSERT, text[:300], text[:300] or "-", text, None)
        for function in functions:
            if function["types"]:
                rows = await answer(connection, _call(function), text)
                assert not holes(rows, a_set=function["gives_set"]), (function["signature"], text[:80])


@pytest.mark.parametrize("group", _EACH_GROUP)
async def test_the_legacy_write_of_any_text_succeeds_and_the_company_goes_on(
    connection: Connection, group: str
) -> None:
    for number, text in enumerate(_GROUPS[group]):
        await connection.execute(_INSERT, f"a{number}", "acme", text, "[1,0,0,0]")
    await connection.execute("UPDATE knowledge_chunks SET contenido = 'teletrabajo ' || contenido")
    lexed = await connection.fetch("SELECT terms FROM ateneo.chunk_lex WHERE empresa_id = 'acme'")
    assert len(lexed) == len(_GROUPS[group])
    assert not any(None in row["terms"] or len(row["terms"]) > 15_000 for row in lexed)
    await connection.execute("SELECT ateneo.refresh_stats('acme', 1.3)")
    async with connection.transaction():
        await connection.execute("SET LOCAL ateneo.empresa_id = 'acme'")
        assert await connection.fetchval("SELECT count(*) FROM ateneo.search('teletrabajo', k => 200)") == len(lexed)


@pytest.mark.parametrize(("text", "identifier"), DATES.items())
async def test_dates_have_one_form_in_spanish_and_portuguese(
    connection: Connection, text: str, identifier: str | None
) -> None:
    found = await connection.fetch("SELECT i FROM ateneo.identifiers(ateneo.fold($1)) i", text)
    assert [row["i"] for row in found] == ([identifier] if identifier else [])


_WORDS = (
    "enero setiembre fevereiro março dez consejo de del la R$ $ ñandú 12/03/2025 1.234,56 RG-4310/2021 2026 6 12 1º 31 "
    "19 20 \u0301 👍 \u202e - . , \\"
)
_words = st.sampled_from(_WORDS.split(" "))
_sentences = st.lists(_words | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
                      max_size=12).map(" ".join)  # fmt: skip
_dates = st.builds("{} de {} {} {}".format, st.integers(0, 99), st.text("abcdefgijmnoprstuvz", min_size=1, max_size=10),
                   st.sampled_from(["de", "del"]), st.integers(1890, 2110))  # fmt: skip
_READ = """
SELECT a.dl, a.terms, a.bm25::text AS bm25, (SELECT array_agg(t.t) FROM ateneo.doc_terms('acme', $1) t) AS counted,
  (SELECT array_agg(i) FROM ateneo.identifiers(ateneo.fold($1)) i) AS identifiers,
  (SELECT array_agg(w) FROM ateneo.words(ateneo.fold($1)) w) AS words,
  (SELECT array_agg(l) FROM ateneo.word_lexemes($1) l) AS lexemes, r.phrases, r.excluded,
  (SELECT count(*) FROM ateneo.search($1)) AS found
FROM ateneo.analyse('acme', $1, 60) a, ateneo.read_query($1) r
"""


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=_sentences | _dates)
async def test_whatever_is_written_has_whole_terms(connection: Connection, text: str) -> None:
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("SET LOCAL ateneo.empresa_id = 'acme'")
        await connection.execute(_INSERT, "a", "acme", text, None)
        read = await connection.fetchrow(_READ, text)
        await connection.execute("SELECT ateneo.refresh_stats('acme')")
    finally:
        await transaction.rollback()
    assert read is not None
    assert set(read["terms"]) == set(read["counted"] or [])
    assert not holes([read], a_set=False)


_NONE = health.IndexFaults(0, 0, 0, 0, 0)
_POISONED = """
UPDATE ateneo.chunk_lex SET terms = terms || NULL::bigint, dl = dl + 1 WHERE chunk_id = 'a'
"""


async def test_doctor_sees_a_poisoned_company_and_an_upgrade_makes_it_whole(
    database: Database, database_url: str
) -> None:
    """As older versions left it: a NULL among the terms, on which the company's statistics fail."""
    async with database.acquire() as connection:
        await connection.execute(_INSERT, "a", "acme", "Vence el 6 de setiembre de 2026.", None)
        await connection.execute(_INSERT, "b", "acme", "Un texto corriente.", None)
        whole = await connection.fetch("SELECT dl, terms FROM ateneo.chunk_lex ORDER BY chunk_id")
        await connection.execute(_POISONED)
    assert await health.index_faults(database) == replace(_NONE, unindexed=1)
    told = ateneo("doctor", url=database_url)
    assert told.returncode == 1
    assert "cuyas palabras faltan en el índice" in told.stdout
    assert ateneo("db", "upgrade", url=database_url).returncode == 0
    assert await health.index_faults(database) == _NONE
    assert ateneo("doctor", url=database_url).returncode == 0
    async with database.acquire() as connection:
        assert await connection.fetch("SELECT dl, terms FROM ateneo.chunk_lex ORDER BY chunk_id") == whole
    await statistics.refresh(database, "acme")


async def test_what_cannot_be_indexed_is_counted_and_harms_no_write(database: Database) -> None:
    await generations.create(database, "local", "m", 4)
    key = "".join(chr(0x4E00 + n) for n in range(900))  # 2,700 bytes: not for a B-tree beside a company's name
    async with database.acquire() as connection:
        await connection.execute(
            "ALTER TABLE knowledge_chunks DROP CONSTRAINT knowledge_chunks_pkey; DROP INDEX knowledge_chunks_id"
        )
        await connection.execute(_INSERT, key, "acme", "Un texto con una clave larguísima.", "[1,0,0,0]")
        await connection.execute("UPDATE knowledge_chunks SET contenido = 'Otro texto, también bastante largo.'")
        await connection.execute("UPDATE knowledge_chunks SET embedding = '[0,1,0,0]'")
        await connection.execute(_INSERT, "b", "acme", "palabra " * 30_000, None)
        await connection.execute("SELECT ateneo.queue_missing(1::smallint)")
        await connection.execute("SELECT ateneo.rebuild_page('acme', NULL, 10)")
        await connection.execute("SELECT * FROM ateneo.missing_texts(1::smallint, NULL, NULL, 10)")
    assert await migrate.reconcile(database) == 0
    assert await health.index_faults(database) == replace(_NONE, unkeyed=1, cut=1)
    async with database.acquire() as connection:
        await connection.execute("UPDATE knowledge_chunks SET id = 'a' WHERE id = $1", key)
        assert await connection.fetchval("SELECT count(*) FROM ateneo.chunk_lex") == 2
        await connection.execute("UPDATE knowledge_chunks SET id = $1 WHERE id = 'a'", key)
        assert await connection.fetchval("SELECT count(*) FROM ateneo.chunk_lex") == 1


async def test_an_analysis_that_fails_harms_no_write_and_is_counted(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute(_INSERT, "a", "acme", "Un texto corriente.", None)
        good = await connection.fetchval("SELECT pg_get_functiondef('ateneo.fold'::regproc)")
        await connection.execute(
            "CREATE OR REPLACE FUNCTION ateneo.fold(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS"
            " $$ BEGIN RETURN (1 / (length(t) - length(t)))::text; END $$"
        )
        await connection.execute("UPDATE knowledge_chunks SET contenido = 'Otro texto.'")
        await connection.execute(_INSERT, "b", "acme", "Y uno más.", None)
        await connection.execute(good)
    assert (await health.index_faults(database)).unindexed == 2
    assert await migrate.reconcile(database) == 2
    assert (await health.index_faults(database)).unindexed == 0
