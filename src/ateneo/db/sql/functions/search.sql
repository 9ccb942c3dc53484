-- The one way to search. Usable from psql and any language:
--   BEGIN; SET LOCAL ateneo.empresa_id = 'acme';
--   SELECT contenido, score FROM ateneo.search('¿cuántos días de vacaciones tengo?'); COMMIT;
-- Dense leg: exact cosine over the company's own vectors. Lexical leg: GIN candidates, exact BM25. Each leg scores the
-- other's candidates before the fusion (no "missing = 0"), a convex combination: meaning min-max over the candidates,
-- words as a share of the ideal passage's score, times the cube of how near the best one comes to it (docs/adr/0007-fusion.md).
-- `generation` names the model that embedded the query: pass it with every query vector (AT001 where it is gone).
-- `empresa`, when given, must be the transaction's tenant. `filter`: see filter.sql. `fusion`: convex or rrf. `skip` pages.
-- "phrases" in quotes must occur (where one occurs nowhere, all count as words alone, and `notes` says so), -words must
-- not. A text that several passages have stands once: `notes` says how many `duplicates` were found, and the first ten of them
-- (`same_text`); `crowded`: a larger pool may find more texts (docs/adr/0042-equal-results.md).
-- `page_breaks`: offset, page, offset, page ... of a text on several pages; `row`: key and url of a row of a source (docs/adr/0047).
-- Chunks of rows that were withdrawn are left out (sources.sql).
-- Each hit has both scores and ranks, the words that it matched, in `notes` what unknown words were corrected to and its
-- share of the ideal passage's score (`words_share`), how many `passages` the company has, and with `explain` the plan. With
-- a restriction meaning is compared exactly. The dense leg's settings: docs/adr/0009.
SELECT '[1]'::@vector@.vector;   -- loads the library, so that SET hnsw.* below is known

CREATE OR REPLACE FUNCTION ateneo.checked_vector(p_vector @vector@.vector, p_generation smallint, OUT generation smallint, OUT unit @vector@.halfvec)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE d int;
BEGIN
  SELECT g.generation, g.dims INTO generation, d FROM ateneo.generation g
    WHERE CASE WHEN p_generation IS NULL THEN g.active ELSE g.generation = p_generation AND g.state <> 'retired' END;
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

-- What `notes` says of a text's other passages. Apart, so that it is planned where there are some.
CREATE OR REPLACE FUNCTION ateneo.copies_note(tenant text, others bigint, ids text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN jsonb_build_object('duplicates', others, 'same_text', (
    SELECT jsonb_agg(jsonb_build_object('chunk_id', k.id, 'document_id', k.document_id::text, 'title', doc.title, 'source', doc.source,
      'page', meta.page) ORDER BY given.place)
    FROM unnest(ids) WITH ORDINALITY given(id, place)
    JOIN public.knowledge_chunks k ON k.id = given.id AND k.empresa_id = tenant
    LEFT JOIN ateneo.chunk_meta meta ON meta.empresa_id = tenant AND meta.chunk_id = k.id
    LEFT JOIN ateneo.document doc ON doc.empresa_id = tenant AND doc.document_id = k.document_id::text));
END $$;

DROP FUNCTION IF EXISTS ateneo.search(text, @vector@.vector, int, float8, smallint, text, int);

CREATE OR REPLACE FUNCTION ateneo.search(
  query text, query_vector @vector@.vector DEFAULT NULL, k int DEFAULT 10, dense_weight float8 DEFAULT 0.4,
  generation smallint DEFAULT NULL, empresa text DEFAULT NULL, pool int DEFAULT 100, filter jsonb DEFAULT NULL,
  fusion text DEFAULT 'convex', skip int DEFAULT 0, explain boolean DEFAULT false)
RETURNS TABLE (chunk_id text, document_id text, chunk_index int, contenido text, tokens_count int, title text, source text,
  page int, headings text[], score float8, dense_score float8, lexical_score float8, dense_rank int, lexical_rank int,
  matched text[], notes jsonb, plan jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1
SET hnsw.ef_search = 40 SET hnsw.iterative_scan = 'strict_order' SET random_page_cost = 1.1 AS $$
DECLARE
  tenant text := ateneo.tenant();
  gen smallint; unit @vector@.halfvec; asked record; q record; path jsonpath; restricted boolean; gone text[]; needed bigint[]; barred bigint[];
  dense_table text; among text := ''; allowed text := ''; phrases text[]; notes jsonb; dense_plan text := 'none';
BEGIN
  IF empresa IS DISTINCT FROM tenant AND empresa IS NOT NULL THEN
    RAISE EXCEPTION 'ateneo: another tenant' USING ERRCODE = 'insufficient_privilege';
  END IF;
  gone := ateneo.withdrawn_of(tenant);
  skip := least(greatest(coalesce(skip, 0), 0), 1000);
  k := least(greatest(coalesce(k, 10), 1), 200);
  pool := least(greatest(coalesce(pool, 100), k + skip), 1200);
  dense_weight := least(greatest(coalesce(dense_weight, 0.4), 0), 1);
  SELECT c.generation, c.unit INTO gen, unit FROM ateneo.checked_vector(query_vector, generation) c;
  SELECT * INTO asked FROM ateneo.read_query(query);
  SELECT * INTO q FROM ateneo.weigh_query(tenant, asked.rest) WHERE query IS NOT NULL;
  path := CASE WHEN filter IS NOT NULL THEN ateneo.filter_path(filter) END;
  phrases := asked.phrases;
  notes := jsonb_strip_nulls(jsonb_build_object('corrected', q.corrected));
  IF phrases IS NOT NULL THEN
    SELECT array_agg(ateneo.term(tenant, l)) INTO needed FROM unnest(phrases) p, ateneo.word_lexemes(p) l;
    IF NOT EXISTS (
        SELECT FROM ateneo.chunk_lex c JOIN public.knowledge_chunks r ON r.empresa_id = tenant AND r.id = c.chunk_id
        WHERE c.empresa_id = tenant AND c.terms @> coalesce(needed, '{}') AND c.chunk_id <> ALL (gone) AND ateneo.has_phrases(r.contenido, phrases)) THEN
      phrases := NULL; needed := NULL; notes := notes || '{"phrases": "nowhere"}';
    END IF;
  END IF;
  IF asked.excluded IS NOT NULL THEN
    SELECT array_agg(ateneo.term(tenant, l)) INTO barred FROM unnest(asked.excluded) p, ateneo.word_lexemes(p) l;
  END IF;
  restricted := path IS NOT NULL OR phrases IS NOT NULL OR barred IS NOT NULL;
  IF restricted THEN
    among := 'AND %1$s.chunk_id IN (SELECT a.chunk_id FROM allowed a)';
    allowed := $q$ allowed AS MATERIALIZED (
      SELECT c.chunk_id FROM ateneo.chunk_lex c
      JOIN public.knowledge_chunks r ON r.empresa_id = $2 AND r.id = c.chunk_id
      LEFT JOIN ateneo.document doc ON doc.empresa_id = $2 AND doc.document_id = r.document_id::text
      LEFT JOIN ateneo.chunk_meta meta ON meta.empresa_id = $2 AND meta.chunk_id = c.chunk_id
      WHERE c.empresa_id = $2
        AND ($9 IS NULL OR c.terms @> $9) AND ($10 IS NULL OR NOT c.terms && $10)
        AND ($11 IS NULL OR ateneo.has_phrases(r.contenido, $11))
        AND ($12 IS NULL OR coalesce(doc.metadata, '{}') || coalesce(meta.metadata, '{}') || jsonb_build_object(
          'document_id', r.document_id, 'chunk_index', r.chunk_index, 'source', doc.source, 'title', doc.title,
          'mime', doc.mime, 'page', meta.page, 'created_at', doc.created_at) @@ $12)), $q$;
  END IF;
  IF gone <> '{}' THEN among := among || ' AND %1$s.chunk_id <> ALL ($18)'; END IF;   -- rows of a source, withdrawn since the worker ran
  IF unit IS NOT NULL THEN
    PERFORM ateneo.set_ef_search(gen, tenant, pool);   -- the SET clause above gives it back at the end
    dense_plan := CASE WHEN restricted THEN 'exact, filtered' WHEN explain THEN coalesce('hnsw ' || ateneo.knn_index(gen, tenant, pool), 'exact') END;
  END IF;
  -- without a vector there is no table to name: an empty one of the right shape stands in
  dense_table := CASE WHEN unit IS NULL THEN '(SELECT NULL::text empresa_id, NULL::text chunk_id, NULL::@vector@.halfvec embedding WHERE false)'
    ELSE format('ateneo.vec_g%s', gen) END;
  -- EXECUTE ... USING is planned for each call with the parameters as constants: partial indexes are found, and no
  -- literal is pasted
  RETURN QUERY EXECUTE format($q$
    WITH %2$s
    d AS MATERIALIZED (
      SELECT v.chunk_id, v.embedding OPERATOR(@vector@.<=>) $1 AS dist FROM %1$s v
      WHERE v.empresa_id = $2 AND $1 IS NOT NULL %3$s ORDER BY (v.embedding OPERATOR(@vector@.<=>) $1)%6$s LIMIT $3),
    l AS MATERIALIZED (
      SELECT c.chunk_id, c.bm25 OPERATOR(@vector@.<#>) $4 AS neg, c.content_hash FROM ateneo.chunk_lex c
      WHERE c.empresa_id || '' = $2 AND c.terms && $5 %4$s ORDER BY 2 LIMIT $3),
    u AS MATERIALIZED (
      SELECT coalesce(d.chunk_id, l.chunk_id) AS chunk_id, d.dist, l.neg, l.content_hash FROM d FULL JOIN l ON l.chunk_id = d.chunk_id),
    s AS (
      SELECT u.chunk_id,
        coalesce(u.content_hash, (SELECT c.content_hash FROM ateneo.chunk_lex c WHERE c.empresa_id = $2 AND c.chunk_id = u.chunk_id),
          convert_to(u.chunk_id, 'UTF8')) AS same,
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
        coalesce(ls / $8, 0) AS ln, power(least(1, coalesce(max(ls) OVER () / $8, 0) / 0.85), 3) AS trust
      FROM s),
    fused AS (
      SELECT m.*, (CASE WHEN $13 = 'rrf' THEN coalesce(1.0 / (60 + dr), 0) + coalesce(1.0 / (60 + lr), 0)
          WHEN $1 IS NULL THEN ln WHEN $4 IS NULL THEN dn ELSE $6 * dn + (1 - $6) * trust * ln END)::float8 AS fused
      FROM m),
    texts AS MATERIALIZED (   -- each text once, by its best passage
      SELECT f.*, row_number() OVER (PARTITION BY f.same ORDER BY f.fused DESC, f.chunk_id) AS place,
        count(*) OVER (PARTITION BY f.same) - 1 AS others FROM fused f),
    best AS MATERIALIZED (SELECT * FROM texts t WHERE t.place = 1 ORDER BY t.fused DESC, t.chunk_id LIMIT $7 OFFSET $14)
    SELECT b.chunk_id, r.document_id::text, r.chunk_index::int, r.contenido::text, r.tokens_count::int, doc.title, doc.source,
      meta.page, coalesce(meta.headings, '{}'), b.fused, b.ds::float8, b.ls::float8, b.dr::int, b.lr::int,
      coalesce((SELECT array_agg(DISTINCT x.w) FROM unnest($15, $16) x(w, t) JOIN ateneo.chunk_lex c
        ON c.empresa_id = $2 AND c.chunk_id = b.chunk_id AND c.terms @> ARRAY[x.t]), '{}'),
      $17 || CASE WHEN $4 IS NULL THEN '{}' ELSE jsonb_build_object('words_share', b.ln) END || jsonb_build_object('passages',
          coalesce((SELECT s.n FROM ateneo.tenant_stats s WHERE s.empresa_id = $2), (SELECT count(*) FROM u)))
        || CASE WHEN (SELECT count(*) FROM best) < $7 AND (SELECT count(*) FROM u) >= $3 THEN '{"crowded": true}' ELSE '{}'::jsonb END
        || CASE WHEN b.others = 0 THEN '{}' ELSE ateneo.copies_note($2, b.others, ARRAY(SELECT o.chunk_id FROM texts o WHERE o.same = b.same AND o.place BETWEEN 2 AND 11 ORDER BY o.place)) END
        || CASE WHEN meta.metadata ? '$page_breaks' THEN jsonb_build_object('page_breaks', meta.metadata -> '$page_breaks') ELSE '{}' END
        || CASE WHEN starts_with(doc.origin, 'table:') THEN ateneo.row_note($2, b.chunk_id) ELSE '{}' END, %5$s
    FROM best b
    JOIN public.knowledge_chunks r ON r.id = b.chunk_id AND r.empresa_id = $2
    LEFT JOIN ateneo.chunk_meta meta ON meta.empresa_id = $2 AND meta.chunk_id = b.chunk_id
    LEFT JOIN ateneo.document doc ON doc.empresa_id = $2 AND doc.document_id = r.document_id::text
    ORDER BY b.fused DESC, b.chunk_id $q$, dense_table, allowed, format(among, 'v'), format(among, 'c'),
    CASE WHEN explain THEN format($q$ jsonb_build_object('generation', %L::int, 'fusion', $13, 'dense_weight', $6,
      'dense', %L, 'lookup_terms', cardinality($5), 'ideal', $8, 'words_trusted', (SELECT max(trust) FROM m), 'pool', $3,
      'dense_candidates', (SELECT count(*) FROM d), 'lexical_candidates', (SELECT count(*) FROM l),
      'allowed', %s) $q$, gen, dense_plan,
      CASE WHEN restricted THEN '(SELECT count(*) FROM allowed)' ELSE 'NULL::bigint' END) ELSE 'NULL::jsonb' END,
    CASE WHEN restricted THEN ' + 0' ELSE '' END)   -- the + 0 hides the order from every index
  USING unit, tenant, pool, q.weights, q.candidates, dense_weight, k, q.ideal, needed, barred, phrases, path, fusion, skip,
    q.words, q.terms, notes, gone;
END $$;
