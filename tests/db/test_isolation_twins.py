"""Two companies with the same ids of everything: what one reads and writes is what it would alone.

The functions come from the catalog: one that is new is called, too, and there have to be rows below that it could find.
"""

import itertools
import json
import re
from collections.abc import AsyncIterator

import asyncpg
import pytest

from ateneo.db.pool import Connection, Database

OF_ALL = {
    "active_generation", "any_embedding", "authenticate", "begin_generation", "column_dims", "model_is_open",
    "next_arrival", "queue_figures", "tenant", "writing_tenant",
}  # fmt: skip
"""Of no company, or of all; the checks themselves."""
VALUES = {
    "p_empresa": ["'{me}'"], "p_agent text": ["'a'", "'none'"], "p_conversation": ["'c'"], "p_document text": ["'d'"],
    "p_before": ["NULL", "2"], "p_limit": ["100"], "p_most": ["100", "1"], "p_after": ["NULL", "'c'", "'d'"],
    "p_source": ["'manual.md'", "NULL"], "p_days": ["30", "0"], "p_since": ["0"], "p_hash": ["'\\x01'"],
    "ids": ["ARRAY['k1', 'k2']"], "neighbours": ["3"], "section": ["true"], "reach": ["5"],
    "p_filter": ["'{{\"tipo\": \"manual\"}}'"], "p_external": ["'e'", "NULL"], "p_origin": ["'o'", "NULL"],
    "p_name": ["'manual.md'"], "p_lock": ["true"], "gen": ["1::int2"], "p_title": ["'nuevo'"], "p_folder": ["'f'"],
    "query": ["'caldera vapor'", "'filtro azul'", "'\"mes caldera\"'", "'\"caldera de vapor\"'",
        "'calderra'", "'hervidor'", "'caldera -vapor'"],
    "query_vector": ["'[1,0,0]'", "'[1,0,0]'", "NULL"], "k": ["10", "1"], "dense_weight": ["0.5"],
    "generation": ["1::int2"],
    "empresa": ["NULL"], "pool": ["50", "1"], "filter": ["NULL", "'{{\"tipo\": \"manual\"}}'"], "fusion": ["DEFAULT"],
    "skip": ["0"], "explain": ["true"], "hashes": ["ARRAY(SELECT sha256(t::bytea) FROM unnest(ARRAY[{texts}]) t)"],
    "vectors": ["ARRAY['[0,1,0]', '[0,0,1]']"], "p_summary": ["'resumen'"], "p_to": ["9"], "p_position": ["0"],
    "p_rating": ["1"], "p_comment": ["'bien'"], "p_words": ["ARRAY['caldera', 'hervidor', 'nueva']"],
    "p_word": ["'caldera'"], "p_provider": ["'p'"], "p_model": ["'m'"], "p_texts": ["1"], "p_tokens": ["10"],
    "p_usd": ["0.5"], "p_arrival": ["9"], "p_given": ["'{{\"x\": 1}}'"], "p_changed": ["false"],
    "places": ["ARRAY[7, 8]"], "textos": ["ARRAY['uno nuevo', 'dos nuevos']"], "tokens": ["ARRAY[1, 2]"],
    "pages": ["ARRAY[1, 2]"], "headings": ["ARRAY['[]', '[]']::jsonb[]"], 
    "metadata": ["ARRAY['{{}}', '{{}}']::jsonb[]"],
    "p_entries": ["'[{{\"actor\": \"x\", \"action\": \"y\", \"status\": 200}}]'"],
    "p_queries": ["'[{{\"query\": \"q\", \"times\": 2, \"found\": 1, \"best\": 0.5}}]'"],
    "p_agent jsonb": ["{agent}"], "p_document jsonb": ["{document}"], "p_turn": ["{turn}"],
    "p_job": ["'j'", "'j2'", "'j3'"], "worker": ["'w'", "NULL"], "p_state": ["'failed'"], "states": ["NULL"],
    "after": ["NULL", "'j'"], "p_asked": ["'{{}}'"], "p_priority": ["1"], "p_sha256": ["'\\x01'", "'\\x03'"],
    "first": ["5"], "p_part": ["0"], "most": ["100"],
    "p_claim": ["'00000000-0000-0000-0000-000000000001'"], "p_key": ["'\\x01'", "'\\x02'"],
}  # fmt: skip
OTHERWISE = {
    "text": "'x'", "integer": "1", "bigint": "1", "smallint": "1", "double precision": "1", "boolean": "true",
    "bytea": "'\\x01'", "interval": "'1 hour'", "jsonb": "'{}'", "text[]": "'{x}'", "bytea[]": "ARRAY['\\x01'::bytea]",
    "timestamp with time zone": "now()",
}  # fmt: skip
"""What an argument takes whose name is not above."""
ARGUMENTS = {
    "agent": {"agent_id": "a", "name": "otro", "instructions": "", "k": 8, "dense_weight": 0.5, "context_tokens": 1000,
              "answer_tokens": 500, "tools": []},
    "document": {"document_id": "d", "title": "otro", "source": "manual.md", "mime": "text/plain", "bytes": 2,
                 "content_hash": "\\x02", "file_metadata": {}, "arrival": 2, "own_chunks": 0},
    "turn": {"question": "q", "answer": "a", "state": "complete", "queries": [], "passages": [], "citations": [],
             "claims": [],
             "citations_dropped": 0, "provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1,
             "cache_read_tokens": 0, "cache_write_tokens": 0, "cost": 0.1, "latency_ms": 1},
}  # fmt: skip
TEXTS = "'La caldera de vapor se purga cada mes.', 'El filtro de la caldera es azul.'"
ROWS = f"""
INSERT INTO public.knowledge_chunks (id, document_id, empresa_id, chunk_index, contenido, tokens_count)
  SELECT 'k' || n, 'd', 'acme', n, t, 8 FROM unnest(ARRAY[{TEXTS}]) WITH ORDINALITY x (t, n);
INSERT INTO public.knowledge_chunks VALUES ('other', 'd', 'acme', 7, 'De otro programa.', 3, NULL);
INSERT INTO ateneo.chunk_meta (empresa_id, chunk_id, page, headings, metadata)
  SELECT 'acme', 'k' || n, n, '{{Calderas}}', '{{}}' FROM generate_series(1, 2) n;
INSERT INTO ateneo.document (empresa_id, document_id, title, source, mime, content_hash, bytes, origin, external_id,
    folder, metadata, file_metadata, arrival)
  SELECT 'acme', d, 'Manual', 'manual.md', 'text/markdown', '\\x01', 1, o, e, 'f', '{{"tipo": "manual"}}', '{{}}', 1
  FROM (VALUES ('d', 'o', 'e'), ('d2', 'o', 'e2')) v (d, o, e);
INSERT INTO ateneo.agent (empresa_id, agent_id, name) VALUES ('acme', 'a', 'Ana');
INSERT INTO ateneo.conversation (empresa_id, conversation_id, agent_id, title, updated_at)
  VALUES ('acme', 'c', 'a', 't', now() - interval '3 days'), ('acme', 'c2', 'a', 't2', now() - interval '4 days');
INSERT INTO ateneo.turn (empresa_id, conversation_id, position, question, answer, state, queries, passages, citations,
    citations_dropped, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost,
    latency_ms, rating)
  VALUES ('acme', 'c', 0, '¿Cada cuánto?', 'Cada mes.', 'complete', '{{purga}}', '{{k1}}',
    '[{{"document_id": "d"}}]', 0, 'p', 'm', 1, 1, 0, 0, 0.1, 5, -1);
INSERT INTO ateneo.turn SELECT r.* FROM ateneo.turn t,
  jsonb_populate_record(t, '{{"position": 1, "passages": ["theirs"]}}') r;
INSERT INTO ateneo.audit (empresa_id, actor, action, status)
  VALUES ('acme', 'x', 'search', 200), ('acme', 'x', 'ask', 200);
INSERT INTO ateneo.kept_query (empresa_id, query_hash, query, until, times, found, best)
  VALUES ('acme', sha256('q'), 'q', now() + interval '9 days', 1, 2, 0.3),
    ('acme', sha256('r'), 'r', now() - interval '1 day', 1, 2, 0.3);
INSERT INTO ateneo.synonym VALUES ('acme', 'hervidor', 'caldera'), ('acme', 'caldera', 'hervidor');
INSERT INTO ateneo.embedding_usage (empresa_id, provider, model, day, texts, tokens, usd)
  VALUES ('acme', 'p', 'm', (now() AT TIME ZONE 'UTC')::date, 1, 10, 1);
INSERT INTO ateneo.embedding_budget (empresa_id, tokens, usd) VALUES ('acme', 100, 2);
INSERT INTO ateneo.original (empresa_id, sha256, bytes) VALUES ('acme', '\\x01', 1), ('acme', '\\x03', 1);
INSERT INTO ateneo.original_part (empresa_id, sha256, part, data) 
  VALUES ('acme', '\\x01', 0, 'a'), ('acme', '\\x03', 0, 'b');
INSERT INTO ateneo.job (empresa_id, job_id, state, source, sha256, bytes, document_id, asked, arrival, most_attempts,
    leased_by, lease_until, ended_at)
  VALUES ('acme', 'j', 'queued', 's', '\\x01', 1, 'd', '{{"origin": "o", "external_id": "e"}}', 5, 3, NULL, NULL, NULL),
    ('acme', 'j2', 'reading', 's', '\\x01', 1, 'd2', '{{}}', 4, 3, 'w', now() + interval '1 hour', NULL),
    ('acme', 'j3', 'failed', 's', '\\x01', 1, NULL, '{{}}', 3, 3, NULL, NULL, now());
INSERT INTO ateneo.kept_answer (empresa_id, key_hash, request_hash, claim, claimed_until, expires_at, status)
  SELECT 'acme', key, '\\x01', '00000000-0000-0000-0000-000000000001', now() + '1 hour'::interval,
    now() + '1 hour'::interval, status
  FROM (VALUES ('\\x01'::bytea, 200), ('\\x02', NULL)) v (key, status);
SELECT ateneo.store_embeddings(1::int2, ARRAY['acme', 'acme'], ARRAY['k1', 'k2'], array_agg(sha256(t::bytea)),
  ARRAY['[1,0,0]', '[0.9,0.1,0]']::vector[]) FROM unnest(ARRAY[{TEXTS}]) t;
SELECT ateneo.refresh_stats('acme');
"""
TABLES = """SELECT t.name FROM ateneo.tenant_tables() t JOIN pg_class c ON c.oid = t.id
  WHERE NOT c.relispartition AND t.name !~ 'api_key|erased|source_row'"""
FUNCTIONS = """SELECT p.proname AS name, p.provolatile = 'v' AS writes, p.proargnames[:p.pronargs] AS names,
    ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY a (t, n) ORDER BY n) AS types
  FROM pg_proc p WHERE p.pronamespace = 'ateneo'::regnamespace AND p.prosecdef
    AND has_function_privilege('ateneo_app', p.oid, 'EXECUTE') ORDER BY 1"""
TWIN = """INSERT INTO {table} SELECT r.* FROM {table} x, jsonb_populate_record(NULL::{table}, to_jsonb(x)
  || (SELECT jsonb_object_agg(key, CASE
      WHEN key = 'empresa_id' THEN to_jsonb('otra'::text)
      WHEN jsonb_typeof(value) = 'number' THEN to_jsonb((value #>> '{{}}')::float8 * 3 + 1000)
      ELSE to_jsonb((value #>> '{{}}') || ' caldera ajeno') END)
    FROM jsonb_each(to_jsonb(x)) WHERE value <> 'null' AND key = ANY ($1))) r WHERE x.empresa_id = 'acme'"""
DIFFERENT = ["empresa_id", "contenido", "title", "question", "answer", "name", "comment", "query", "summary", "actor",
             "n", "df", "avgdl", "tokens", "usd", "cost", "times", "found", "status", "bytes", "arrival"]  # fmt: skip
ITS_OWN = """
INSERT INTO ateneo.turn SELECT r.* FROM ateneo.turn x, jsonb_populate_record(x, '{"position": 7}') r
  WHERE x.empresa_id = 'otra' AND x.position = 0;
UPDATE ateneo.conversation SET updated_at = now() WHERE empresa_id = 'otra';
UPDATE ateneo.document SET metadata = '{"tipo": "otro"}' WHERE empresa_id = 'otra';
UPDATE ateneo.document SET content_hash = '\\x03' WHERE empresa_id = 'otra' AND document_id = 'd2';
UPDATE ateneo.chunk_meta SET metadata = '{"tipo": "otro"}' WHERE empresa_id = 'otra';
UPDATE ateneo.job SET sha256 = '\\x03' WHERE empresa_id = 'otra' AND job_id = 'j2';
UPDATE ateneo.chunk_lex x SET content_hash = y.content_hash FROM ateneo.chunk_lex y
  WHERE x.empresa_id = 'otra' AND y.empresa_id = 'acme' AND x.chunk_id IN ('k1', 'k2') AND y.chunk_id IN ('k1', 'k2')
    AND x.chunk_id <> y.chunk_id;
UPDATE ateneo.vec_g1 SET embedding = '[0,0,1]' WHERE empresa_id = 'otra';
UPDATE public.knowledge_chunks SET embedding = '[0,0,1]' WHERE empresa_id = 'otra';
INSERT INTO ateneo.chunk_meta (empresa_id, chunk_id) VALUES ('otra', 'other');
INSERT INTO public.knowledge_chunks VALUES ('theirs', 'd', 'otra', 8, 'Ajeno.', 3, NULL);
"""
"""What the other has and acme has not, under ids that acme's rows name."""
VARYING = re.compile(r"[0-9a-f]{8}-?[0-9a-f-]{23,}|datetime\.datetime\(.*?utc\)|\d{4}-\d\d-\d\dT[\d:.+]+", re.DOTALL)


@pytest.fixture
async def alone(database: Database) -> AsyncIterator[Connection]:
    async with database.acquire() as connection:
        await connection.execute("SELECT ateneo.create_generation('probe', 'm', 3)")
        yield connection


async def twin(connection: Connection, *, without_acme: bool = False) -> None:
    """Another company of the same ids, or that one alone. As a replica, so that no trigger sees it."""
    await connection.execute("SET session_replication_role = replica")
    names = [row["name"] for row in await connection.fetch(TABLES)]
    for name in names:
        if without_acme:
            await connection.execute(f"DELETE FROM {name} WHERE empresa_id = 'acme'")
        else:
            await connection.execute(TWIN.format(table=name), DIFFERENT)
    if not without_acme:
        await connection.execute(ITS_OWN)
    await connection.execute("RESET session_replication_role")


def calls(function: asyncpg.Record, me: str) -> list[str]:
    """Each value of each argument, the others at their first."""
    arguments = []
    for name, kind in zip(function["names"] or (), function["types"], strict=True):
        given = VALUES.get(f"{name} {kind}") or VALUES.get(name)
        if given is None:
            arguments.append([OTHERWISE[kind]])
            continue
        arguments.append([value.format(me=me, texts=TEXTS, **_quoted()) for value in given])
    longest = max(map(len, arguments), default=1)
    made = [[values[min(turn, len(values) - 1)] for values in arguments] for turn in range(longest)]
    made += [[values[min(turn, len(values) - 1) * (n == place)] for n, values in enumerate(arguments)]
             for place, turn in itertools.product(range(len(arguments)), range(longest))]  # fmt: skip
    return list(
        dict.fromkeys(f"SELECT * FROM ateneo.{function['name']}({_given(values, function)})" for values in made)
    )


def _quoted() -> dict[str, str]:
    return {name: f"'{json.dumps(value)}'" for name, value in ARGUMENTS.items()}


def _given(values: list[str], function: asyncpg.Record) -> str:
    """By name, so that an argument may be left out for its default."""
    named = zip(function["names"] or (), values, function["types"], strict=True)
    return ", ".join(f"{name} => ({value})::{kind}" for name, value, kind in named if value != "DEFAULT")


async def rows_of(connection: Connection, which: str) -> str:
    names = [row["name"] for row in await connection.fetch(TABLES)]
    parts = [f"SELECT '{name}' AS name, to_jsonb(x)::text AS said FROM {name} x WHERE {which}" for name in names]
    return _same([tuple(row) for row in await connection.fetch(" UNION ALL ".join(parts) + " ORDER BY 1, 2")])


def _same(said: object) -> str:
    return VARYING.sub("…", str(said))


async def said_to(connection: Connection, me: str) -> dict[str, str]:
    """What every call answers, and what becomes of its company's rows; each in a transaction that is taken back."""
    said = {}
    for function in await connection.fetch(FUNCTIONS):
        for call in [] if function["name"] in OF_ALL else calls(function, me):
            transaction = connection.transaction()
            await transaction.start()
            others = await rows_of(connection, f"empresa_id <> '{me}'") if function["writes"] else ""
            await connection.execute("SELECT set_config('ateneo.empresa_id', $1, true)", me)
            try:
                async with connection.transaction():
                    answer: object = [tuple(row) for row in await connection.fetch(call)]
            except asyncpg.PostgresError as error:
                assert error.sqlstate.startswith("23"), f"{call}: {error!r}"
                answer = error.sqlstate
            said[call] = _same(answer)
            if function["writes"]:
                assert await rows_of(connection, f"empresa_id <> '{me}'") == others, call
                said[call] += await rows_of(connection, f"empresa_id = '{me}'")
            await transaction.rollback()
    return said


async def test_a_company_with_the_same_ids_changes_nothing(alone: Connection) -> None:
    nobody = await said_to(alone, "vacia")
    await alone.execute(ROWS)
    acme = await said_to(alone, "acme")
    await twin(alone)
    beside = await said_to(alone, "otra")
    for me, before in (("acme", acme), ("vacia", nobody)):
        now = await said_to(alone, me)
        assert {call: (before[call], now[call]) for call in now if before[call] != now[call]} == {}
    await twin(alone, without_acme=True)
    now = await said_to(alone, "otra")
    assert {call: (beside[call], now[call]) for call in now if beside[call] != now[call]} == {}
    assert len([call for call in now if now[call] not in ("[]", "[(None,)]")]) > 30


@pytest.mark.parametrize(
    "missing",
    [
        "UPDATE ateneo.chunk_lex SET content_hash = '\\xaa' WHERE empresa_id = 'acme' AND chunk_id = 'k1'",
        "DELETE FROM ateneo.vec_g1 WHERE empresa_id = 'acme' AND chunk_id = 'k1'",
        "DELETE FROM public.knowledge_chunks WHERE empresa_id = 'acme' AND id = 'k1'",
    ],
    ids=["text", "vector", "chunk"],
)
async def test_a_vector_is_known_by_what_is_the_companys(alone: Connection, missing: str) -> None:
    """What another has of the same id stands for nothing that the company has not."""
    await alone.execute(ROWS)
    known = "SELECT count(*) FROM ateneo.known_vectors(1::int2, ARRAY[$1::bytea])"
    digest = await alone.fetchval("SELECT content_hash FROM ateneo.chunk_lex WHERE chunk_id = 'k1'")
    await alone.execute("SELECT set_config('ateneo.empresa_id', 'acme', false)")
    assert await alone.fetchval(known, digest) == 1
    await alone.execute("SET session_replication_role = replica")
    for name in ("ateneo.chunk_lex", "ateneo.vec_g1", "public.knowledge_chunks"):
        await alone.execute(TWIN.format(table=name), ["empresa_id"])
    await alone.execute(f"{missing}; RESET session_replication_role")
    assert await alone.fetchval(known, digest) == 0


async def test_a_job_is_settled_and_claimed_for_its_company(alone: Connection) -> None:
    await alone.execute(ROWS)
    await twin(alone)
    await alone.execute("UPDATE ateneo.job SET lease_until = now() - '1 hour'::interval WHERE empresa_id = 'acme'")
    await alone.execute("SELECT ateneo.settle_dead_jobs(1, '', '')")
    states = await alone.fetch("SELECT empresa_id, state FROM ateneo.job WHERE job_id = 'j2'")
    assert dict(states) == {"acme": "failed", "otra": "reading"}
    claim = "SELECT empresa_id FROM ateneo.claim_job('w', '1 hour', $1, false)"
    assert [await alone.fetchval(claim, after) for after in ("acme", "otra")] == ["otra", "acme"]
