-- Text analysis, all of it in SQL: the same words in Python agreed for fewer than one passage in five.
-- Stemming comes after folding, so that "informacion" meets "información". A word with ñ is indexed with n as well.

-- A tsvector holds at most 1 MB: beyond 200,000 characters the legacy INSERT would fail, so the rest is left out.
CREATE OR REPLACE FUNCTION ateneo.doc_lexemes(t text) RETURNS tsvector LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN strpos(f, 'ñ') = 0 THEN to_tsvector('pg_catalog.spanish', f)
    ELSE to_tsvector('pg_catalog.spanish', f) || to_tsvector('pg_catalog.spanish',
      (SELECT string_agg(translate(m[1], 'ñ', 'n'), ' ') FROM regexp_matches(f, '(\w*ñ\w*)', 'g') m)) END
  FROM (SELECT ateneo.fold(left(t, 200000)) AS f OFFSET 0) x
$$;

CREATE OR REPLACE FUNCTION ateneo.query_lexemes(t text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT tsvector_to_array(to_tsvector('pg_catalog.spanish', ateneo.fold(left(t, 4000))))
$$;

-- md5, not hashtext(): the same in every version of PostgreSQL.
CREATE OR REPLACE FUNCTION ateneo.term(empresa text, lexeme text) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT ('x' || left(md5(empresa || chr(31) || lexeme), 15))::bit(60)::bigint
$$;

-- The document's side of BM25 (k1 1.2, b 0.75; Robertson & Zaragoza 2009): tf (k1+1) / (tf + k1 (1 - b + b dl/avgdl)).
-- Grouped by dimension, since two terms on one would make sparsevec raise; at most 15,000 of its 16,000 entries.
CREATE OR REPLACE FUNCTION ateneo.analyse(empresa text, contenido text, avgdl float8,
  OUT dl int, OUT terms bigint[], OUT bm25 @vector@.sparsevec)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(max(d), 0)::int, coalesce(array_agg(t), '{}'),
    ('{' || coalesce(string_agg(k || ':' || w, ','), '') || '}/268435456')::@vector@.sparsevec
  FROM (
    SELECT min(t) AS t, k, min(d) AS d, (2.2 * sum(tf) / (sum(tf) + 1.2 * (0.25 + 0.75 * min(d) / greatest(avgdl, 1))))::float4 AS w
    FROM (
      SELECT t, 1 + (t & 268435455) AS k, tf, sum(tf) OVER () AS d
      FROM (
        SELECT ateneo.term(empresa, lexeme) AS t, cardinality(positions)::float8 AS tf
        FROM unnest(ateneo.doc_lexemes(contenido)) ORDER BY cardinality(positions) DESC LIMIT 15000) counted) measured
    GROUP BY k) weighed
$$;
