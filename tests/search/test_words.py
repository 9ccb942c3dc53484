"""The lexical leg: exact BM25, Spanish words, identifiers, corrections, phrases, exclusions, synonyms, filters."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ateneo.db import documents, generations
from ateneo.db import search as db_search
from ateneo.db.documents import NewDocument
from ateneo.db.pool import Database
from ateneo.errors import BadArgument
from ateneo.indexing import maintenance
from ateneo.types import Chunk

INSERT = "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, $2, $3)"


async def fill(db: Database, texts: Iterable[str], empresa_id: str = "acme") -> None:
    async with db.acquire() as connection:
        await connection.executemany(INSERT, [(f"c{n:02}", empresa_id, text) for n, text in enumerate(texts)])
        await connection.execute("SELECT ateneo.refresh_stats($1)", empresa_id)


async def ask(db: Database, text: str, empresa_id: str = "acme", **options: Any) -> db_search.Candidates:
    return await db_search.search(db, db_search.Query(empresa_id, text, **options), schema="public")


async def texts(db: Database, text: str, **options: Any) -> list[str]:
    return [hit.contenido for hit in (await ask(db, text, **options)).hits]


PASSAGES = [
    "El pago de los feriados se hace con el sueldo del mes.",
    "Las vacaciones se piden por escrito; el pago de las vacaciones se adelanta.",
    "El sueldo se deposita el último día hábil, y el aguinaldo en dos cuotas.",
    "Feriados, feriados y más feriados: el calendario de feriados del año.",
    "La multa por atraso es del uno por ciento del pago pendiente.",
    "Un texto que no tiene nada que ver con lo demás.",
]


@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (2.0, 0.3)])
@pytest.mark.parametrize("query", ["pago de feriados", "sueldo vacaciones pago", "multa calendario aguinaldo feriados"])
async def test_scores_equal_a_reference_bm25(database: Database, query: str, k1: float, b: float) -> None:
    """Robertson & Zaragoza's formula in Python, fed with the lexemes that PostgreSQL makes."""
    await fill(database, PASSAGES)
    async with database.acquire() as connection:
        await connection.execute("SELECT ateneo.refresh_stats('acme', $1, $2)", k1, b)
        average = await connection.fetchval("SELECT avgdl FROM ateneo.tenant_stats")
        lexemes = "SELECT t, tf FROM ateneo.doc_terms('acme', $1)"
        bags = [Counter({r["t"]: r["tf"] for r in await connection.fetch(lexemes, text)}) for text in PASSAGES]
        asked = [r["t"] for r in await connection.fetch(lexemes, query)]
    n = len(PASSAGES)
    expected = {}
    for number, bag in enumerate(bags):
        score = 0.0
        for term in asked:
            df = sum(term in other for other in bags)
            idf = math.log(1 + (n - df + 0.5) / (df + 0.5))
            norm = k1 * (1 - b + b * sum(bag.values()) / average)
            score += idf * bag[term] * (k1 + 1) / (bag[term] + norm)
        if score:
            expected[f"c{number:02}"] = score
    hits = (await ask(database, query)).hits
    assert [hit.chunk_id for hit in hits] == sorted(expected, key=lambda c: (-expected[c], c))
    assert {hit.chunk_id: hit.lexical_score for hit in hits} == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("RG-4310/2021", "La resolución RG-4310/2021 fija el tope."),
        ("rg 4310 2021", "La resolución RG-4310/2021 fija el tope."),
        ("rg43102021", "La resolución RG-4310/2021 fija el tope."),
        ("SKU 00-1234-B", "El artículo SKU 00-1234-B está agotado."),
        ("85000", "Sin cargo desde $ 85.000 de compra."),
        ("$85.000,00", "Sin cargo desde $ 85.000 de compra."),
        ("2025-03-12", "La reunión del 12 de marzo de 2025 quedó asentada."),
        ("12/03/2025", "La reunión del 12 de marzo de 2025 quedó asentada."),
        ("ana.lopez@acme.example", "Escribile a ana.lopez@acme.example por mesa de ayuda."),
    ],
)
async def test_identifiers_are_kept_whole(database: Database, query: str, found: str) -> None:
    await fill(
        database,
        [
            "La resolución RG-4310/2021 fija el tope.",
            "La resolución RG-4311/2021 lo deroga.",
            "El artículo SKU 00-1234-B está agotado.",
            "El artículo SKU 00-1234-C también, y el 00-4321-B.",
            "Sin cargo desde $ 85.000 de compra.",
            "Sin cargo desde $ 58.000 de compra.",
            "La reunión del 12 de marzo de 2025 quedó asentada.",
            "La reunión del 3 de diciembre de 2025 quedó asentada.",
            "Escribile a ana.lopez@acme.example por mesa de ayuda.",
            "Escribile a ana.perez@acme.example por mesa de ayuda.",
        ],
    )
    assert (await texts(database, query))[0] == found


@pytest.mark.parametrize(
    "forms",
    [
        ("querés", "quieres", "quiere", "queremos"),
        ("podés", "puedes", "puede", "podemos"),
        ("entendés", "entiendes", "entiende", "entendemos"),
        ("contás", "cuentas", "cuenta", "contamos"),
    ],
)
async def test_voseo_tuteo_and_usted_meet(database: Database, forms: tuple[str, ...]) -> None:
    await fill(database, [f"Si {form} algo distinto." for form in forms] + ["Nada parecido por acá."])
    for form in forms:
        assert len(await texts(database, form)) == len(forms)


async def test_an_exact_ene_comes_first_and_n_finds_both(database: Database) -> None:
    await fill(database, ["El ano es un dato médico.", "El año es un dato contable."])
    assert len(await texts(database, "ano")) == 2
    assert await texts(database, "año") == ["El año es un dato contable."]


@pytest.mark.parametrize(
    "typed",
    ["vacasiones", "vacacioness", "vacaicones", "vacciones"],
)
async def test_unknown_words_are_corrected_from_the_companys_own(database: Database, typed: str) -> None:
    meant = "vacaciones"
    await fill(database, PASSAGES)
    found = await ask(database, f"cuándo pido {typed}")
    assert meant in found.hits[0].contenido
    assert found.corrected == {typed: meant}


async def test_a_known_word_is_never_corrected(database: Database) -> None:
    await fill(database, ["La casa de gobierno.", "El caso del gobierno.", "La caza mayor, caza, caza y caza."])
    found = await ask(database, "cazas")
    assert not found.corrected
    assert found.hits[0].contenido.startswith("La caza")
    assert "casa" not in found.hits[0].matched


async def test_a_word_is_found_at_its_commit_though_the_statistics_are_old(database: Database) -> None:
    await fill(database, PASSAGES)
    async with database.acquire() as connection:
        await connection.execute(INSERT, "nuevo", "acme", "El teletrabajo se acuerda con la jefatura.")
    found = await ask(database, "teletrabajo")
    assert [hit.chunk_id for hit in found.hits] == ["nuevo"]
    assert found.hits[0].matched == ("teletrabajo",)


async def test_phrases_in_quotes_and_words_with_a_minus(database: Database) -> None:
    await fill(
        database,
        [
            "El pago del sueldo mensual.",
            "El sueldo, y después el pago.",
            "Pago en cuotas del préstamo.",
            "Otra cosa, sin más.",
        ],
    )
    assert await texts(database, '"pago del sueldo"') == ["El pago del sueldo mensual."]
    assert await texts(database, "«PAGO DEL SUELDO» mensual") == ["El pago del sueldo mensual."]
    assert set(await texts(database, "pago -sueldo")) == {"Pago en cuotas del préstamo."}
    nowhere = await ask(database, '"sueldo del pago"')
    assert nowhere.phrases_nowhere
    assert len(nowhere.hits) == 3


async def test_synonyms_of_a_company_are_its_own(database: Database) -> None:
    await fill(database, ["Cada vendedor tiene un celular de la empresa.", "Los autos se guardan de noche."])
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO ateneo.synonym VALUES ('acme', 'movil', 'celular'), ('otra', 'movil', 'autos')"
        )
    assert await texts(database, "móvil") == ["Cada vendedor tiene un celular de la empresa."]


async def test_a_page_after_the_other_without_gaps(database: Database) -> None:
    await fill(database, [f"Un feriado número {n}." for n in range(25)])
    everything = [hit.chunk_id for hit in (await ask(database, "feriado", k=25)).hits]
    pages = [hit.chunk_id for skip in (0, 10, 20) for hit in (await ask(database, "feriado", k=10, skip=skip)).hits]
    assert pages == everything
    assert len(set(pages)) == 25


async def test_the_plan_is_explained(database: Database) -> None:
    await fill(database, PASSAGES)
    assert (await ask(database, "feriado")).plan is None
    plan = (await ask(database, "feriado", explain=True)).plan
    assert plan is not None
    assert (plan["dense"], plan["fusion"], plan["lexical_candidates"]) == ("none", "convex", 2)


async def test_the_plan_tells_whether_meaning_was_compared_exactly_or_through_the_companys_index(
    database: Database,
) -> None:
    await generations.create(database, "local", "m", 64)
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido, embedding)"
            " SELECT 'c' || n, CASE WHEN n % 100 = 0 THEN 'small' ELSE 'large' END, 'texto ' || n,"
            "  (SELECT array_agg(sin(n * i * 0.7) + 0.1 * cos(n + i)) FROM generate_series(1, 64) i)::real[]::vector"
            " FROM generate_series(1, 6000) n"
        )
        await connection.execute("ANALYZE ateneo.vec_g1; SELECT ateneo.refresh_stats('large')")
    assert "create" in [tuned.action async for tuned in maintenance.tune(database, threshold=5000)]
    vector = np.ones(64, dtype=np.float32)
    plans = {
        empresa_id: (await ask(database, "nada", empresa_id, vector=vector, generation=1, explain=True)).plan
        for empresa_id in ("small", "large")
    }
    assert plans["small"] is not None
    assert plans["small"]["dense"] == "exact"
    assert plans["large"] is not None
    assert plans["large"]["dense"].startswith("hnsw vec_g1_own_")
    assert plans["large"]["dense_candidates"] == 100


async def test_rrf_is_selectable(database: Database) -> None:
    await fill(database, PASSAGES)
    hits = (await ask(database, "feriado", fusion="rrf")).hits
    assert hits[0].score == pytest.approx(1 / 61)


async def store(db: Database, name: str, text: str, **metadata: Any) -> None:
    new = NewDocument(name, name, "text/plain", name.encode(), 1, metadata=metadata)
    await documents.save(db, "acme", new, [Chunk(0, text, 5, page=metadata.get("hoja"))], None, None)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({"tipo": "manual"}, {"a", "b"}),
        ({"pais": ["AR", "CL"]}, {"a", "c"}),
        ({"fecha": {"gte": "2024-01-01", "lt": "2025-01-01"}}, {"b"}),
        ({"version": {"gt": 1}}, {"b", "c"}),
        ({"etiquetas": "rrhh"}, {"a"}),
        ({"tipo": "manual", "pais": "MX"}, {"b"}),
        ({"tipo": {"ne": "manual"}}, {"c"}),
        ({"source": "c"}, {"c"}),
        ({"page": {"gte": 2}}, {"c"}),
        ({"pais": []}, set()),
        ({"no existe": "x"}, set()),
        ({}, {"a", "b", "c"}),
        ({'com"illas': 'v"alor'}, {"c"}),
    ],
)
async def test_filters(database: Database, where: dict[str, Any], names: set[str]) -> None:
    await store(
        database, "a", "feriado a", tipo="manual", pais="AR", fecha="2023-05-01", version=1, etiquetas=["rrhh", "x"]
    )
    await store(database, "b", "feriado b", tipo="manual", pais="MX", fecha="2024-05-01", version=2, hoja=1)
    await store(
        database,
        "c",
        "feriado c",
        tipo="acta",
        pais="CL",
        fecha="2025-01-01",
        version=3,
        hoja=2,
        **{'com"illas': 'v"alor'},
    )
    assert {hit.source for hit in (await ask(database, "feriado", filter=where)).hits} == names


@pytest.mark.parametrize("where", [{"tipo": {"like": "x"}}, {"tipo": {"gt": [1]}}, ["tipo"], "tipo"])
async def test_a_filter_that_is_none_is_refused(database: Database, where: Any) -> None:
    with pytest.raises(BadArgument, match="filter"):
        await ask(database, "feriado", filter=where)


async def test_a_filter_reaches_the_dense_leg_exactly(database: Database) -> None:
    """Recall 1 however few rows the filter leaves: the nearest of all are not the allowed ones."""
    await generations.create(database, "local", "m", 2)
    for n in range(300):
        await store(database, f"d{n:03}", f"texto {n}", grupo="raro" if n >= 297 else "comun")
    async with database.acquire() as connection:
        await connection.execute(
            "UPDATE knowledge_chunks SET embedding = ('[' || cos(n) || ',' || sin(n) || ']')::vector"
            " FROM (SELECT id AS i, substr(contenido, 7)::int * 0.001 AS n FROM knowledge_chunks) x WHERE i = id"
        )
    vector = np.array([1, 0], dtype=np.float32)
    found = await ask(database, "texto", vector=vector, generation=1, filter={"grupo": "raro"}, explain=True, pool=10)
    assert [hit.source for hit in found.hits] == ["d297", "d298", "d299"]
    assert all(hit.dense_rank for hit in found.hits)
    assert found.plan is not None
    assert found.plan["allowed"] == 3


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("La información llegó.", "informaciones"),
        ("Las situaciones cambian.", "situación"),
        ("La constitución de la empresa.", "constituciones"),
        ("El fundador nació en Rosario.", "nacer"),
        ("Tenía tres hijos.", "tener"),
        ("La tecnología avanza.", "tecnológico"),
        ("El servicio de guardia.", "servicios"),
    ],
)
async def test_endings_with_an_accent_meet_their_kin(database: Database, written: str, asked: str) -> None:
    await fill(database, [written, "Nada que ver con lo anterior."])
    assert await texts(database, asked) == [written]


async def test_matched_words_are_shown_as_a_person_writes_them(database: Database) -> None:
    await fill(database, ["La RG-4310/2021 rige desde el 12 de marzo de 2025.", "Otra cosa."])
    (hit,) = (await ask(database, "RG-4310/2021 12/03/2025")).hits
    assert {"rg43102021", "2025-03-12"} <= set(hit.matched)
    assert not any(":" in word for word in hit.matched)


_EVERY = {"pago": 12, "sueldo": 11, "mensual": 13, "aguinaldo": 90, "retroactivo": 700}


async def test_frequent_words_look_nothing_up_where_rarer_ones_weigh_more(database: Database) -> None:
    """Above 1,000 passages the candidates are those of the rarest words; every word still counts in the score, and the
    first ten texts are those of a ranking of everything."""
    said = [
        " ".join(word for word, every in _EVERY.items() if n % every == 0) + f" relleno{n % 7}" for n in range(12_600)
    ]
    async with database.acquire() as connection:
        records = [(f"c{n:05}", "acme", text) for n, text in enumerate(said)]
        await connection.copy_records_to_table(
            "knowledge_chunks", records=records, columns=["id", "empresa_id", "contenido"], timeout=60
        )
        await connection.execute("SELECT ateneo.refresh_stats('acme')")
        question = "pago del sueldo mensual con aguinaldo retroactivo"
        found = await ask(database, question, k=10, explain=True, pool=1200)
        everything = await connection.fetch(
            "SELECT DISTINCT c.content_hash, -(c.bm25 <#> q.weights) AS score FROM ateneo.chunk_lex c,"
            " ateneo.weigh_query('acme', ateneo.fold($1)) q WHERE c.empresa_id = 'acme' ORDER BY 2 DESC LIMIT 10",
            question,
        )
    assert found.plan is not None
    assert found.plan["lookup_terms"] == 3
    assert [hit.lexical_score for hit in found.hits] == pytest.approx([row["score"] for row in everything], abs=1e-4)


_DRIFTED = """
UPDATE ateneo.chunk_lex c SET bm25 = a.bm25 FROM knowledge_chunks k,
  LATERAL ateneo.analyse(k.empresa_id, k.contenido, $1 * (SELECT avgdl FROM ateneo.tenant_stats)) a
WHERE k.id = c.chunk_id
"""


async def test_a_drift_of_the_average_length_costs_less_than_a_point(database: Database) -> None:
    """On the questions of examples/, whose passages are told by their own text."""
    folder = Path(__file__).parents[2] / "examples"
    parts = {
        f"{file.stem}/{n}": part
        for file in sorted(folder.glob("*/**/*.md"))
        for n, part in enumerate(file.read_text("utf-8").split("\n## "))
    }
    lines = [line for file in folder.glob("questions-*.jsonl") for line in file.read_text("utf-8").splitlines()]
    asked = [(one["question"], " ".join(one["passage"].split())) for one in map(json.loads, lines)]
    async with database.acquire() as connection:
        await connection.executemany(INSERT, [(name, "acme", text) for name, text in parts.items()])
        await connection.execute("SELECT ateneo.refresh_stats('acme')")

        async def ndcg() -> float:
            gain = 0.0
            for question, passage in asked:
                found = [" ".join(text.split()) for text in await texts(database, question, k=10)]
                gain += sum(1 / math.log2(2 + place) for place, text in enumerate(found) if passage in text)
            return 100 * gain / len(asked)

        fitting = await ndcg()
        assert fitting > 20
        for factor in (1 / 1.5, 1.5):
            await connection.execute(_DRIFTED, factor)
            assert abs(await ndcg() - fitting) < 1


async def test_k1_and_b_are_given_to_every_company_by_tune(database: Database) -> None:
    await fill(database, PASSAGES)
    before = {hit.chunk_id: hit.lexical_score for hit in (await ask(database, "feriados")).hits}
    assert [t async for t in maintenance.tune(database)] == []
    done = [t.action async for t in maintenance.tune(database, bm25=(2.0, None))]
    assert done == ["rebuild"]
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT (k1, b) = (2.0, 0.75) FROM ateneo.tenant_stats")
    after = {hit.chunk_id: hit.lexical_score for hit in (await ask(database, "feriados")).hits}
    assert after.keys() == before.keys()
    assert all(after[chunk] != before[chunk] for chunk in after)
    assert [t async for t in maintenance.tune(database, bm25=(2.0, None))] == []
