-- The change of model: what a generation lacks, the switch, the guide's column refilled, and the end of a generation.
-- docs/adr/0015-switch-of-model.md says why it goes in these steps.

-- Chunks without a vector in this generation (NULL: all that get one), in the order of (id, empresa_id), after the key given.
-- Of several with one text in a company the first: a text is embedded once.
CREATE OR REPLACE FUNCTION ateneo.missing_texts(gen smallint, after_id text, after_empresa text, size int)
RETURNS TABLE (empresa_id text, chunk_id text, contenido text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET enable_sort = off AS $$
BEGIN
  RETURN QUERY EXECUTE format($q$
    SELECT k.empresa_id::text, k.id::text, k.contenido::text FROM public.knowledge_chunks k
    WHERE ateneo.wants_vector(k.contenido) AND ateneo.indexable_key(k.empresa_id, k.id) AND ($1 IS NULL OR (k.id >= $1 AND (k.id, k.empresa_id) > ($1, $2)))
      AND NOT EXISTS (SELECT FROM ateneo.chunk_lex c JOIN ateneo.chunk_lex t
        ON t.empresa_id = c.empresa_id AND t.content_hash = c.content_hash AND t.chunk_id < c.chunk_id
        WHERE c.empresa_id = k.empresa_id AND c.chunk_id = k.id)
      %s ORDER BY k.id, k.empresa_id LIMIT $3 $q$,
    CASE WHEN gen IS NULL THEN '' ELSE
      format('AND NOT EXISTS (SELECT FROM ateneo.vec_g%s v WHERE v.empresa_id = k.empresa_id AND v.chunk_id = k.id)', gen) END)
    USING after_id, after_empresa, size;
END $$;

-- One row a generation that is kept, newest last. `chunks` are those that get a vector; `dead`: dead letters; bytes with indexes.
DROP FUNCTION IF EXISTS ateneo.generation_status();

CREATE OR REPLACE FUNCTION ateneo.generation_status()
RETURNS TABLE (generation smallint, chunks bigint, vectors bigint, dead bigint, bytes bigint, indexes bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE g smallint; total bigint;
BEGIN
  SELECT count(*) INTO total FROM public.knowledge_chunks k
    WHERE ateneo.wants_vector(k.contenido) AND ateneo.indexable_key(k.empresa_id, k.id);
  FOR g IN SELECT x.generation FROM ateneo.generation x WHERE x.state <> 'retired' ORDER BY 1 LOOP
    RETURN QUERY EXECUTE format($q$
      SELECT $1, $2, (SELECT count(*) FROM ateneo.vec_g%1$s v JOIN public.knowledge_chunks k
          ON k.id = v.chunk_id AND k.empresa_id = v.empresa_id AND ateneo.wants_vector(k.contenido)),
        (SELECT count(*) FROM ateneo.embedding_queue q WHERE q.generation = $1 AND q.state = 'dead'),
        (SELECT sum(pg_total_relation_size(t.relid))::bigint FROM pg_partition_tree('ateneo.vec_g%1$s') t WHERE t.isleaf),
        (SELECT count(*) FROM ateneo.own_indexes($1) i WHERE i.valid) $q$, g) USING g, total;
  END LOOP;
END $$;

-- Bytes that a generation of `dims` will take for the chunks there are: rows of the table (STORAGE PLAIN: only whole ones in a
-- page of 8 kB), its primary key, the HNSW graphs of companies above `threshold`, and the guide's column written anew.
CREATE OR REPLACE FUNCTION ateneo.generation_bytes(dims int, threshold bigint,
  OUT table_bytes bigint, OUT index_bytes bigint, OUT column_bytes bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH company AS (
    SELECT count(*) AS n, avg(octet_length(k.id::text) + octet_length(k.empresa_id::text) + 8) AS keys, avg(octet_length(k.contenido)) AS text
    FROM public.knowledge_chunks k WHERE ateneo.wants_vector(k.contenido) GROUP BY k.empresa_id)
  SELECT coalesce(sum(ceil(n / greatest(floor(8160 / (40 + keys + 2 * dims)), 1)) * 8192), 0)::bigint,
    coalesce(sum(n * (keys + 16) * 1.4 + CASE WHEN n >= threshold THEN n * (2 * dims + 300) ELSE 0 END), 0)::bigint,
    coalesce(sum(n * (60 + keys + text + 4 * dims)), 0)::bigint
  FROM company
$$;

-- From the moment that this commits, `gen` is what is searched; the one before can be returned to.
CREATE OR REPLACE FUNCTION ateneo.activate_generation(gen smallint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('ateneo.create_generation', 0));
  PERFORM FROM ateneo.generation g WHERE g.generation = gen AND g.state IN ('filling', 'previous', 'active');
  IF NOT FOUND THEN RAISE EXCEPTION 'ateneo: no such generation' USING ERRCODE = 'AT001'; END IF;
  UPDATE ateneo.generation g SET state = 'previous' WHERE g.state = 'active' AND g.generation <> gen;
  UPDATE ateneo.generation g SET state = 'active', activated_at = now() WHERE g.state <> 'active' AND g.generation = gen;
END $$;

-- Takes the mark of the guide's column away (gen NULL) or gives it. While nobody has it, vectors that programs write there
-- are not carried to the index, which would take one model's for another's.
CREATE OR REPLACE FUNCTION ateneo.mark_column(gen smallint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE ateneo.generation g SET legacy = false WHERE g.legacy AND g.generation IS DISTINCT FROM gen;
  UPDATE ateneo.generation g SET legacy = true WHERE NOT g.legacy AND g.generation = gen;
END $$;

-- One page of the guide's column, by id, made true to `gen`: its vectors (unit length, at halfvec's precision), NULL where
-- it has none. Rows that a writer holds are passed over and counted as busy: a wait here could be half of a deadlock.
CREATE OR REPLACE FUNCTION ateneo.refill_page(gen smallint, after_id text, size int, OUT last_id text, OUT changed bigint, OUT busy bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE held_e text[]; held_i text[]; n bigint;
BEGIN
  SELECT max(id) INTO last_id FROM (SELECT k.id FROM public.knowledge_chunks k
    WHERE after_id IS NULL OR k.id > after_id ORDER BY k.id LIMIT size) page;
  changed := 0; busy := 0;
  IF last_id IS NULL THEN RETURN; END IF;
  SELECT count(*) INTO n FROM public.knowledge_chunks k WHERE (after_id IS NULL OR k.id > after_id) AND k.id <= last_id;
  SELECT array_agg(x.e), array_agg(x.i) INTO held_e, held_i FROM (SELECT k.empresa_id::text AS e, k.id::text AS i
    FROM public.knowledge_chunks k WHERE (after_id IS NULL OR k.id > after_id) AND k.id <= last_id
    ORDER BY k.id FOR NO KEY UPDATE OF k SKIP LOCKED) x;
  busy := n - coalesce(cardinality(held_e), 0);
  PERFORM set_config('ateneo.bulk', 'on', true);
  -- a new snapshot, with the rows held: no text can change between its vector and its column
  EXECUTE format($q$
    UPDATE public.knowledge_chunks k SET embedding = @vector@.l2_normalize(v.embedding::@vector@.vector)
    FROM unnest($1, $2) h(e, i) LEFT JOIN ateneo.vec_g%s v ON v.empresa_id = h.e AND v.chunk_id = h.i
    WHERE k.id = h.i AND k.empresa_id = h.e AND CASE WHEN k.embedding IS NULL THEN v.chunk_id IS NOT NULL
      ELSE v.chunk_id IS NULL OR @vector@.vector_dims(k.embedding) <> @vector@.vector_dims(v.embedding)
        OR NOT ateneo.indexable(k.embedding)
        OR v.embedding OPERATOR(@vector@.<>) @vector@.l2_normalize(k.embedding)::@vector@.halfvec END $q$, gen)
    USING held_e, held_i;
  GET DIAGNOSTICS changed = ROW_COUNT;
  PERFORM set_config('ateneo.bulk', 'off', true);
END $$;

-- Where the guide's column was made with a fixed length, which holds one model alone: takes the length away. Its values
-- stay, and nothing is written anew. Run by the table's owner, once no index hangs on the column.
CREATE OR REPLACE FUNCTION ateneo.widen_column() RETURNS void LANGUAGE plpgsql AS $$
DECLARE definition text; kept text;
BEGIN
  -- it would go on refusing vectors of another length, and with them whole writes
  SELECT string_agg(i.indexrelid::regclass::text, ', ') INTO kept FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid
    WHERE i.indrelid = 'public.knowledge_chunks'::regclass AND a.attname = 'embedding' AND a.attnum = ANY (i.indkey);
  IF kept IS NOT NULL THEN
    RAISE EXCEPTION 'ateneo: knowledge_chunks.embedding has indexes of its present length: %', kept USING ERRCODE = 'object_in_use';
  END IF;
  SELECT pg_get_triggerdef(t.oid) INTO definition FROM pg_trigger t
    WHERE t.tgrelid = 'public.knowledge_chunks'::regclass AND t.tgname = 'ateneo_update';
  DROP TRIGGER ateneo_update ON public.knowledge_chunks;   -- a trigger that names a column keeps its type
  ALTER TABLE public.knowledge_chunks ALTER COLUMN embedding TYPE @vector@.vector;
  EXECUTE definition;
END $$;

-- The first step of an end: from here on nobody begins to use the generation.
CREATE OR REPLACE FUNCTION ateneo.retire_generation(gen smallint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('ateneo.create_generation', 0));
  PERFORM FROM ateneo.generation g WHERE g.generation = gen AND g.state IN ('filling', 'previous') AND NOT g.legacy;
  IF NOT FOUND THEN RAISE EXCEPTION 'ateneo: generation % is in use', gen USING ERRCODE = 'AT001'; END IF;
  UPDATE ateneo.generation g SET state = 'retired', retired_at = now() WHERE g.generation = gen;
END $$;

-- Retired generations whose table is still there.
CREATE OR REPLACE FUNCTION ateneo.undropped_generations() RETURNS SETOF smallint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT g.generation FROM ateneo.generation g
  WHERE g.state = 'retired' AND to_regclass(format('ateneo.vec_g%s', g.generation)) IS NOT NULL ORDER BY 1
$$;

-- The last step. Writers that began before the first one have ended by now, so that no trigger meets a table that is gone.
CREATE OR REPLACE FUNCTION ateneo.drop_generation(gen smallint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF gen NOT IN (SELECT ateneo.undropped_generations()) THEN RETURN; END IF;
  EXECUTE format('DROP TABLE ateneo.vec_g%s', gen);
  DELETE FROM ateneo.embedding_queue q WHERE q.generation = gen;
  DELETE FROM ateneo.own_index o WHERE o.generation = gen;
  DELETE FROM ateneo.recall_measured r WHERE r.generation = gen;
END $$;

-- Whether every transaction that was running when `before` was the next number has ended.
CREATE OR REPLACE FUNCTION ateneo.settled(before xid8) RETURNS boolean LANGUAGE sql VOLATILE AS
  'SELECT pg_snapshot_xmin(pg_current_snapshot()) >= before';

-- Chunks to ask about, drawn by chance from the whole database or from one company, the same ones for the same `seed`; with
-- all chunks of the company that have the same text.
CREATE OR REPLACE FUNCTION ateneo.sample_chunks(p_empresa text, size int, seed text)
RETURNS TABLE (empresa_id text, contenido text, twins text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.empresa_id::text, k.contenido::text,
    ARRAY(SELECT t.chunk_id FROM ateneo.chunk_lex t WHERE t.empresa_id = k.empresa_id AND t.content_hash = c.content_hash)
  FROM (SELECT l.empresa_id, l.chunk_id, l.content_hash FROM ateneo.chunk_lex l WHERE p_empresa IS NULL OR l.empresa_id = p_empresa
        ORDER BY md5(seed || l.chunk_id), l.chunk_id LIMIT size) c
  JOIN public.knowledge_chunks k ON k.id = c.chunk_id AND k.empresa_id = c.empresa_id
  WHERE ateneo.wants_vector(k.contenido)
$$;
