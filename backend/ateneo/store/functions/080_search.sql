-- The one door to search. Usable from psql and any language:
--   BEGIN; SET LOCAL ateneo.empresa_id = 'acme';
--   SELECT contenido, score FROM ateneo.search('¿cuántos días de vacaciones tengo?'); COMMIT;
-- Dense leg: exact cosine over the company's own vectors. Lexical leg: GIN candidates, exact BM25. Each leg scores the
-- other's candidates before the fusion (no "missing = 0"), a convex combination: meaning min-max over the candidates,
-- words as a share of the ideal passage's score (docs/adr/0007-fusion.md).
-- `generation` names the model that embedded the query: pass it with every query vector (AT001 where it is gone).
-- `empresa`, when given, must be the transaction's tenant.

-- The query's terms as a sparse vector of idf = ln(1 + (N - df + 0.5) / (df + 0.5)), and those rare enough to look up
-- candidates by (df < 10 %; all of them where none is). `ideal` is the score of a passage of average length that has
-- every word of the query once. A company without statistics has its df counted on the spot.
CREATE OR REPLACE FUNCTION ateneo.query_terms(p_empresa text, p_query text, OUT weights @vector@.sparsevec, OUT candidates bigint[], OUT ideal float8)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 AS $$
DECLARE ndocs int; known boolean;
BEGIN
  SELECT n INTO ndocs FROM ateneo.tenant_stats WHERE empresa_id = p_empresa;
  known := FOUND;
  IF NOT known THEN SELECT count(*) INTO ndocs FROM ateneo.chunk_lex WHERE empresa_id = p_empresa; END IF;
  WITH asked AS (
    SELECT DISTINCT ateneo.term(p_empresa, l) AS t FROM unnest(ateneo.query_lexemes(p_query)) l),
  counted AS MATERIALIZED (
    SELECT a.t, greatest(1, least(ndocs, CASE WHEN known THEN coalesce(s.df, 1) ELSE
        (SELECT count(*) FROM ateneo.chunk_lex c WHERE c.empresa_id = p_empresa AND c.terms @> ARRAY[a.t]) END)) AS df
    FROM asked a LEFT JOIN ateneo.term_stats s ON s.empresa_id = p_empresa AND s.term = a.t),
  weighed AS MATERIALIZED (
    SELECT t, df, ln(1 + (ndocs - least(df, ndocs) + 0.5) / (df + 0.5))::float4 AS idf FROM counted)
  SELECT coalesce(array_agg(t) FILTER (WHERE df < 0.1 * ndocs), array_agg(t)),
    (SELECT ('{' || string_agg(b.d || ':' || b.i, ',') || '}/268435456')::@vector@.sparsevec
     FROM (SELECT 1 + (t & 268435455) AS d, max(idf) AS i FROM weighed GROUP BY 1) b),
    sum(idf)
    INTO candidates, weights, ideal FROM weighed;
END $$;

CREATE OR REPLACE FUNCTION ateneo.checked_vector(p_vector @vector@.vector, p_generation smallint, OUT generation smallint, OUT unit @vector@.halfvec)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE d int;
BEGIN
  SELECT g.generation, g.dims INTO generation, d FROM ateneo.generation g
    WHERE CASE WHEN p_generation IS NULL THEN g.active ELSE g.generation = p_generation END;
  IF generation IS NULL AND p_vector IS NOT NULL THEN
    RAISE EXCEPTION 'ateneo: no such generation' USING ERRCODE = 'AT001';
  END IF;
  IF p_vector IS NULL THEN RETURN; END IF;
  IF @vector@.vector_dims(p_vector) <> d THEN
    RAISE EXCEPTION 'ateneo: the query vector has % dimensions, generation % has %', @vector@.vector_dims(p_vector), generation, d
      USING ERRCODE = 'AT001';
  END IF;
  IF ateneo.indexable(p_vector) THEN unit := @vector@.l2_normalize(p_vector)::@vector@.halfvec; END IF;
END $$;

CREATE OR REPLACE FUNCTION ateneo.search(
  query text, query_vector @vector@.vector DEFAULT NULL, k int DEFAULT 10, dense_weight float8 DEFAULT 0.4,
  generation smallint DEFAULT NULL, empresa text DEFAULT NULL, pool int DEFAULT 100)
RETURNS TABLE (chunk_id text, document_id text, chunk_index int, contenido text, tokens_count int, title text, source text,
  page int, headings text[], score float8, dense_score float8, lexical_score float8, dense_rank int, lexical_rank int)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET extra_float_digits = 1 AS $$
DECLARE
  tenant text := ateneo.tenant();
  gen smallint; unit @vector@.halfvec; weights @vector@.sparsevec; candidates bigint[]; ideal float8;
  dense_leg text;
BEGIN
  IF empresa IS DISTINCT FROM tenant AND empresa IS NOT NULL THEN
    RAISE EXCEPTION 'ateneo: another tenant' USING ERRCODE = 'insufficient_privilege';
  END IF;
  k := least(greatest(coalesce(k, 10), 1), 200);
  pool := least(greatest(coalesce(pool, 100), k), 400);
  dense_weight := least(greatest(coalesce(dense_weight, 0.4), 0), 1);
  SELECT c.generation, c.unit INTO gen, unit FROM ateneo.checked_vector(query_vector, generation) c;
  IF query IS NOT NULL THEN
    SELECT t.weights, t.candidates, t.ideal INTO weights, candidates, ideal FROM ateneo.query_terms(tenant, query) t;
  END IF;
  -- without a vector there is no table to name: an empty one of the right shape stands in
  dense_leg := CASE WHEN unit IS NULL THEN '(SELECT NULL::text empresa_id, NULL::text chunk_id, NULL::@vector@.halfvec embedding WHERE false)'
    ELSE format('ateneo.vec_g%s', gen) END;
  -- EXECUTE ... USING is planned for each call with the parameters as constants: partial indexes are found, and no
  -- literal is pasted
  RETURN QUERY EXECUTE format($q$
    WITH d AS MATERIALIZED (
      SELECT v.chunk_id, v.embedding OPERATOR(@vector@.<=>) $1 AS dist FROM %1$s v
      WHERE v.empresa_id = $2 AND $1 IS NOT NULL ORDER BY v.embedding OPERATOR(@vector@.<=>) $1 LIMIT $3),
    l AS MATERIALIZED (
      SELECT c.chunk_id, c.bm25 OPERATOR(@vector@.<#>) $4 AS neg FROM ateneo.chunk_lex c
      WHERE c.empresa_id = $2 AND c.terms && $5 ORDER BY 2 LIMIT $3),
    u AS MATERIALIZED (
      SELECT coalesce(d.chunk_id, l.chunk_id) AS chunk_id, d.dist, l.neg FROM d FULL JOIN l ON l.chunk_id = d.chunk_id),
    s AS (
      SELECT u.chunk_id,
        1 - coalesce(u.dist, (SELECT v.embedding OPERATOR(@vector@.<=>) $1 FROM %1$s v
                              WHERE v.empresa_id = $2 AND v.chunk_id = u.chunk_id)) AS ds,
        0 - coalesce(u.neg, (SELECT c.bm25 OPERATOR(@vector@.<#>) $4 FROM ateneo.chunk_lex c
                             WHERE c.empresa_id = $2 AND c.chunk_id = u.chunk_id)) AS ls,
        CASE WHEN u.dist IS NOT NULL THEN rank() OVER (ORDER BY u.dist) END AS dr,
        CASE WHEN u.neg IS NOT NULL THEN rank() OVER (ORDER BY u.neg) END AS lr
      FROM u),
    m AS (
      SELECT s.*,
        coalesce((ds - min(ds) OVER ()) / nullif(max(ds) OVER () - min(ds) OVER (), 0), CASE WHEN ds IS NULL THEN 0 ELSE 1 END) AS dn,
        coalesce(ls / $8, 0) AS ln
      FROM s),
    best AS MATERIALIZED (
      SELECT m.*, (CASE WHEN $1 IS NULL THEN ln WHEN $4 IS NULL THEN dn ELSE $6 * dn + (1 - $6) * ln END)::float8 AS fused
      FROM m ORDER BY fused DESC, chunk_id LIMIT $7)
    SELECT b.chunk_id, r.document_id::text, r.chunk_index::int, r.contenido::text, r.tokens_count::int, doc.title, doc.source,
      meta.page, coalesce(meta.headings, '{}'), b.fused, b.ds::float8, b.ls::float8, b.dr::int, b.lr::int
    FROM best b
    JOIN public.knowledge_chunks r ON r.id = b.chunk_id AND r.empresa_id = $2
    LEFT JOIN ateneo.chunk_meta meta ON meta.empresa_id = $2 AND meta.chunk_id = b.chunk_id
    LEFT JOIN ateneo.document doc ON doc.empresa_id = $2 AND doc.document_id = r.document_id::text
    ORDER BY b.fused DESC, b.chunk_id $q$, dense_leg)
  USING unit, tenant, pool, weights, candidates, dense_weight, k, ideal;
END $$;
