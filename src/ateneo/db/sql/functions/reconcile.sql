-- Whether the words of a chunk are missing from the index, are another text's, or hold a NULL (once written for a
-- date whose month was not known).
CREATE OR REPLACE FUNCTION ateneo.lacks_words(p_empresa text, p_id text, p_text text, words ateneo.chunk_lex) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT p_text IS NOT NULL AND ateneo.indexable_key(p_empresa, p_id) AND (words.chunk_id IS NULL
    OR words.content_hash <> sha256(convert_to(p_text, 'UTF8')) OR array_position(words.terms, NULL) IS NOT NULL)
$$;

-- Whether only a part of a text can be looked up by its words: the limits of ateneo.doc_terms.
CREATE OR REPLACE FUNCTION ateneo.is_cut(contenido text, terms bigint[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(length(contenido) > 200000 OR (octet_length(contenido) > 300000 AND length(contenido) > 75000)
    OR cardinality(terms) >= 14900, false)   -- two terms may share a dimension
$$;

-- Brings the index in step with rows whose triggers did not fire: those from before the adoption, restores, replica
-- role. One page of the chunks table at a time, by id, so that it can stop and go on; returns where it stopped.
CREATE OR REPLACE FUNCTION ateneo.reconcile_page(after_id text, size int, OUT last_id text, OUT words bigint, OUT vectors bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 AS $$
DECLARE g smallint; d int; legacy boolean;
BEGIN
  SELECT max(id) INTO last_id FROM (SELECT id FROM public.knowledge_chunks
    WHERE after_id IS NULL OR id > after_id ORDER BY id LIMIT size) page;
  words := 0; vectors := 0;
  IF last_id IS NULL THEN RETURN; END IF;
  SELECT count(ateneo.put_words(k.empresa_id, k.id, k.contenido)) INTO words FROM public.knowledge_chunks k
    LEFT JOIN ateneo.chunk_lex c ON c.empresa_id = k.empresa_id AND c.chunk_id = k.id
    WHERE (after_id IS NULL OR k.id > after_id) AND k.id <= last_id AND ateneo.lacks_words(k.empresa_id, k.id, k.contenido, c);
  -- the vectors that the column holds; what the other generations lack waits for its own model
  FOR g, d, legacy IN SELECT x.generation, x.dims, x.legacy FROM ateneo.generation x
      WHERE x.generation IN (SELECT ateneo.live_generations()) LOOP
    IF legacy THEN
      EXECUTE format($q$
        INSERT INTO ateneo.vec_g%s (empresa_id, chunk_id, embedding)
        SELECT k.empresa_id, k.id, @vector@.l2_normalize(k.embedding)::@vector@.halfvec FROM public.knowledge_chunks k
        WHERE ($1 IS NULL OR k.id > $1) AND k.id <= $2 AND k.embedding IS NOT NULL AND k.contenido IS NOT NULL
          AND @vector@.vector_dims(k.embedding) = $3 AND ateneo.indexable(k.embedding)
          AND ateneo.indexable_key(k.empresa_id, k.id)
        ON CONFLICT (empresa_id, chunk_id) DO NOTHING $q$, g) USING after_id, last_id, d;
      GET DIAGNOSTICS vectors = ROW_COUNT;
    END IF;
    EXECUTE format($q$
      INSERT INTO ateneo.embedding_queue (empresa_id, chunk_id, generation, content_hash)
      SELECT k.empresa_id, k.id, $3, sha256(convert_to(k.contenido, 'UTF8')) FROM public.knowledge_chunks k
      WHERE ($1 IS NULL OR k.id > $1) AND k.id <= $2 AND ateneo.wants_vector(k.contenido) AND ateneo.indexable_key(k.empresa_id, k.id) AND %s
      ON CONFLICT DO NOTHING $q$,
      CASE WHEN legacy THEN 'k.embedding IS NULL'
        ELSE format('NOT EXISTS (SELECT FROM ateneo.vec_g%s v WHERE v.empresa_id = k.empresa_id AND v.chunk_id = k.id)', g) END)
      USING after_id, last_id, g;
  END LOOP;
END $$;

-- Removes, of one company or of all (`p_empresa` NULL), what was derived from chunks that are gone, and the statistics and
-- words of companies that have no chunk left. Returns how many chunks' words were removed.
CREATE OR REPLACE FUNCTION ateneo.remove_orphans(p_empresa text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE n bigint; g smallint; emptied text[];
BEGIN
  DELETE FROM ateneo.chunk_lex c WHERE (p_empresa IS NULL OR c.empresa_id = p_empresa) AND NOT EXISTS
    (SELECT FROM public.knowledge_chunks k WHERE k.id = c.chunk_id AND k.empresa_id = c.empresa_id);
  GET DIAGNOSTICS n = ROW_COUNT;
  DELETE FROM ateneo.chunk_meta m WHERE (p_empresa IS NULL OR m.empresa_id = p_empresa) AND NOT EXISTS
    (SELECT FROM public.knowledge_chunks k WHERE k.id = m.chunk_id AND k.empresa_id = m.empresa_id);
  DELETE FROM ateneo.embedding_queue q WHERE (p_empresa IS NULL OR q.empresa_id = p_empresa) AND NOT EXISTS
    (SELECT FROM public.knowledge_chunks k WHERE k.id = q.chunk_id AND k.empresa_id = q.empresa_id);
  FOR g IN SELECT generation FROM ateneo.generation WHERE state <> 'retired' LOOP
    EXECUTE format('DELETE FROM ateneo.vec_g%s v WHERE ($1 IS NULL OR v.empresa_id = $1) AND NOT EXISTS
      (SELECT FROM public.knowledge_chunks k WHERE k.id = v.chunk_id AND k.empresa_id = v.empresa_id)', g) USING p_empresa;
  END LOOP;
  emptied := ARRAY(SELECT s.empresa_id FROM ateneo.tenant_stats s WHERE (p_empresa IS NULL OR s.empresa_id = p_empresa)
    AND NOT EXISTS (SELECT FROM ateneo.chunk_lex c WHERE c.empresa_id = s.empresa_id));
  DELETE FROM ateneo.term_stats s WHERE s.empresa_id = ANY (emptied);
  DELETE FROM ateneo.vocabulary v WHERE v.empresa_id = ANY (emptied);
  DELETE FROM ateneo.vocabulary_key k WHERE k.empresa_id = ANY (emptied);
  DELETE FROM ateneo.recall_measured r WHERE r.empresa_id = ANY (emptied);
  DELETE FROM ateneo.tenant_stats s WHERE s.empresa_id = ANY (emptied);
  RETURN n;
END $$;

-- Of all companies: of `db upgrade`, and of processes of versions before the function above.
CREATE OR REPLACE FUNCTION ateneo.remove_orphans() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT ateneo.remove_orphans(NULL) $$;

-- Of all companies, for `ateneo doctor`: db/health.py says what each figure is.
CREATE OR REPLACE FUNCTION ateneo.index_faults(OUT unindexed bigint, OUT orphans bigint, OUT unkeyed bigint, OUT cut bigint, OUT emptied bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT count(*) FILTER (WHERE ateneo.lacks_words(k.empresa_id, k.id, k.contenido, c)),
    (SELECT count(*) FROM (SELECT l.empresa_id, l.chunk_id FROM ateneo.chunk_lex l UNION SELECT m.empresa_id, m.chunk_id FROM ateneo.chunk_meta m
      UNION SELECT q.empresa_id, q.chunk_id FROM ateneo.embedding_queue q EXCEPT SELECT r.empresa_id, r.id FROM public.knowledge_chunks r) gone),
    count(*) FILTER (WHERE NOT ateneo.indexable_key(k.empresa_id, k.id)),
    count(*) FILTER (WHERE ateneo.is_cut(k.contenido, c.terms)),
    (SELECT count(*) FROM ateneo.document d
      WHERE NOT EXISTS (SELECT FROM public.knowledge_chunks r WHERE r.empresa_id = d.empresa_id AND r.document_id::text = d.document_id))
  FROM public.knowledge_chunks k LEFT JOIN ateneo.chunk_lex c ON c.empresa_id = k.empresa_id AND c.chunk_id = k.id
$$;
