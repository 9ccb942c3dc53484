-- The rebuild of the index from the chunks table, a page at a time, while it is read and written. A page holds its rows of
-- the chunks table for the moment that it takes, so that no writer's newer words are overwritten by older ones; rows that a
-- writer holds are left to the end (a wait here, with other rows in hand, could be half of a deadlock).

CREATE OR REPLACE FUNCTION ateneo.rebuild_rows(empresas text[], ids text[], wait boolean, OUT words bigint, OUT vectors bigint,
  OUT busy_empresas text[], OUT busy_ids text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE g smallint; held_e text[]; held_i text[];
BEGIN
  IF wait THEN
    SELECT array_agg(x.e), array_agg(x.i) INTO held_e, held_i FROM (SELECT k.empresa_id::text AS e, k.id::text AS i
      FROM unnest(empresas, ids) t(e, i) JOIN public.knowledge_chunks k ON k.id = t.i AND k.empresa_id = t.e FOR SHARE OF k) x;
  ELSE
    SELECT array_agg(x.e), array_agg(x.i) INTO held_e, held_i FROM (SELECT k.empresa_id::text AS e, k.id::text AS i
      FROM unnest(empresas, ids) t(e, i) JOIN public.knowledge_chunks k ON k.id = t.i AND k.empresa_id = t.e
      FOR SHARE OF k SKIP LOCKED) x;
  END IF;
  SELECT array_agg(t.e), array_agg(t.i) INTO busy_empresas, busy_ids FROM unnest(empresas, ids) t(e, i)
    WHERE NOT wait AND (t.e, t.i) NOT IN (SELECT h.e, h.i FROM unnest(held_e, held_i) h(e, i));
  SELECT count(*) FILTER (WHERE k.contenido IS NOT NULL),
    -- one or the other for its effect
    count(CASE WHEN k.contenido IS NULL THEN ateneo.drop_chunk(k.empresa_id, k.id)
               ELSE ateneo.put_words(k.empresa_id, k.id, k.contenido) END)
    INTO words, vectors
    FROM unnest(held_e, held_i) h(e, i) JOIN public.knowledge_chunks k ON k.id = h.i AND k.empresa_id = h.e;
  vectors := 0;
  SELECT generation INTO g FROM ateneo.generation WHERE legacy;
  IF g IS NULL THEN RETURN; END IF;
  -- a vector that is right already is not written again: that would wear out the company's HNSW graph
  EXECUTE format($q$
    SELECT count(ateneo.put_vec(k.empresa_id, k.id, k.embedding))
    FROM unnest($1, $2) h(e, i) JOIN public.knowledge_chunks k ON k.id = h.i AND k.empresa_id = h.e
    LEFT JOIN ateneo.vec_g%s v ON v.empresa_id = k.empresa_id AND v.chunk_id = k.id
    WHERE k.contenido IS NOT NULL AND CASE WHEN k.embedding IS NULL THEN v.chunk_id IS NOT NULL
      ELSE v.chunk_id IS NULL OR NOT ateneo.indexable(k.embedding)
        OR @vector@.vector_dims(k.embedding) <> @vector@.vector_dims(v.embedding)
        OR v.embedding OPERATOR(@vector@.<>) @vector@.l2_normalize(k.embedding)::@vector@.halfvec END $q$, g)
    INTO vectors USING held_e, held_i;
END $$;

-- One page of one company, or of all (`p_empresa` NULL), by id. `last_id` NULL: there was nothing left.
CREATE OR REPLACE FUNCTION ateneo.rebuild_page(p_empresa text, after_id text, size int, OUT last_id text, OUT chunks bigint,
  OUT words bigint, OUT vectors bigint, OUT busy_empresas text[], OUT busy_ids text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE empresas text[]; ids text[];
BEGIN
  SELECT max(id) INTO last_id FROM (SELECT k.id FROM public.knowledge_chunks k
    WHERE (p_empresa IS NULL OR k.empresa_id = p_empresa) AND (after_id IS NULL OR k.id > after_id) ORDER BY k.id LIMIT size) page;
  chunks := 0; words := 0; vectors := 0;
  IF last_id IS NULL THEN RETURN; END IF;
  SELECT array_agg(k.empresa_id ORDER BY k.id), array_agg(k.id ORDER BY k.id), count(*) INTO empresas, ids, chunks
    FROM public.knowledge_chunks k
    WHERE (p_empresa IS NULL OR k.empresa_id = p_empresa) AND (after_id IS NULL OR k.id > after_id) AND k.id <= last_id
      AND ateneo.indexable_key(k.empresa_id, k.id);
  SELECT r.words, r.vectors, r.busy_empresas, r.busy_ids INTO words, vectors, busy_empresas, busy_ids
    FROM ateneo.rebuild_rows(empresas, ids, false) r;
END $$;

-- The companies of a scope whose words are weighed with an average length that is no longer theirs.
CREATE OR REPLACE FUNCTION ateneo.settle_lengths(p_empresa text) RETURNS SETOF text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
  WITH now AS (
    SELECT c.empresa_id, count(*)::int AS n, greatest(avg(c.dl), 1)::float8 AS avgdl FROM ateneo.chunk_lex c
    WHERE p_empresa IS NULL OR c.empresa_id = p_empresa GROUP BY 1)
  INSERT INTO ateneo.tenant_stats AS s (empresa_id, n, avgdl)
    SELECT now.empresa_id, now.n, now.avgdl FROM now LEFT JOIN ateneo.tenant_stats t ON t.empresa_id = now.empresa_id
    WHERE now.avgdl NOT BETWEEN coalesce(t.avgdl, 60) * 0.67 AND coalesce(t.avgdl, 60) * 1.5
    ON CONFLICT (empresa_id) DO UPDATE SET avgdl = excluded.avgdl
    RETURNING s.empresa_id
$$;
