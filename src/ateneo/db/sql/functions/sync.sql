-- Keeps the search index in step with the chunks table, row by row: words at commit, meaning when the vector arrives; new
-- text removes the old vector. What cannot be indexed is left out; the legacy write never fails because of it.

CREATE OR REPLACE FUNCTION ateneo.indexable(v @vector@.vector) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT @vector@.vector_norm(v) BETWEEN 1e-6 AND 1e18   -- a zero vector has no cosine; beyond, halfvec overflows
$$;

-- A row of the chunks table can be told by its key, which is in one entry of a B-tree (2.7 kB at most).
CREATE OR REPLACE FUNCTION ateneo.indexable_key(p_empresa text, p_id text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(octet_length(p_empresa) + octet_length(p_id) <= 2000, false)
$$;

CREATE OR REPLACE FUNCTION ateneo.put_vec(p_empresa text, p_id text, p_vec @vector@.vector) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE g smallint; d int;
BEGIN
  SELECT generation, dims INTO g, d FROM ateneo.generation WHERE legacy;
  IF g IS NULL THEN RETURN; END IF;
  IF @vector@.vector_dims(p_vec) = d AND ateneo.indexable(p_vec) THEN
    EXECUTE format('INSERT INTO ateneo.vec_g%s VALUES ($1, $2, $3)
      ON CONFLICT (empresa_id, chunk_id) DO UPDATE SET embedding = excluded.embedding', g)
      USING p_empresa, p_id, @vector@.l2_normalize(p_vec)::@vector@.halfvec;
  ELSE
    EXECUTE format('DELETE FROM ateneo.vec_g%s WHERE empresa_id = $1 AND chunk_id = $2', g) USING p_empresa, p_id;
  END IF;
END $$;

-- Analysis is not known to fail on any text; if it does, the write goes on and `ateneo doctor` counts the chunk. It is caught where
-- nothing has been written yet: such a subtransaction takes no transaction number.
CREATE OR REPLACE FUNCTION ateneo.put_words(p_empresa text, p_id text, p_text text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 AS $$
DECLARE a record;
BEGIN
  BEGIN
    a := ateneo.analyse(p_empresa, p_text,
      coalesce((SELECT s.avgdl FROM ateneo.tenant_stats s WHERE s.empresa_id = p_empresa), 60));
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'ateneo: the words of chunk % of % are not indexed: %', p_id, p_empresa, SQLERRM;
    DELETE FROM ateneo.chunk_lex c WHERE c.empresa_id = p_empresa AND c.chunk_id = p_id;
    RETURN;
  END;
  INSERT INTO ateneo.chunk_lex (empresa_id, chunk_id, dl, terms, bm25, content_hash)
    VALUES (p_empresa, p_id, a.dl, a.terms, a.bm25, sha256(convert_to(p_text, 'UTF8')))
    ON CONFLICT (empresa_id, chunk_id) DO UPDATE
      SET dl = excluded.dl, terms = excluded.terms, bm25 = excluded.bm25, content_hash = excluded.content_hash;
END $$;

CREATE OR REPLACE FUNCTION ateneo.drop_vectors(p_empresa text, p_id text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE g smallint;
BEGIN
  FOR g IN SELECT generation FROM ateneo.generation WHERE state <> 'retired' LOOP
    EXECUTE format('DELETE FROM ateneo.vec_g%s WHERE empresa_id = $1 AND chunk_id = $2', g) USING p_empresa, p_id;
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION ateneo.drop_chunk(p_empresa text, p_id text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM ateneo.chunk_lex WHERE empresa_id = p_empresa AND chunk_id = p_id;
  DELETE FROM ateneo.chunk_meta WHERE empresa_id = p_empresa AND chunk_id = p_id;
  DELETE FROM ateneo.embedding_queue WHERE empresa_id = p_empresa AND chunk_id = p_id;
  PERFORM ateneo.drop_vectors(p_empresa, p_id);
END $$;

CREATE OR REPLACE FUNCTION ateneo.sync_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE moved boolean := false; retext boolean := true; revec boolean := true;
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM ateneo.drop_chunk(OLD.empresa_id, OLD.id);
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    moved := OLD.empresa_id IS DISTINCT FROM NEW.empresa_id OR OLD.id IS DISTINCT FROM NEW.id;
    retext := moved OR OLD.contenido IS DISTINCT FROM NEW.contenido;
    -- IS DISTINCT FROM cannot see pgvector's = under this search_path
    revec := moved OR NOT coalesce(OLD.embedding OPERATOR(@vector@.=) NEW.embedding,
                                   OLD.embedding IS NULL AND NEW.embedding IS NULL);
    IF moved THEN PERFORM ateneo.drop_chunk(OLD.empresa_id, OLD.id);
    ELSIF retext THEN
      PERFORM ateneo.drop_vectors(OLD.empresa_id, OLD.id);
      IF NEW.contenido IS NULL THEN PERFORM ateneo.drop_chunk(OLD.empresa_id, OLD.id); END IF;
    END IF;
  END IF;
  IF NOT ateneo.indexable_key(NEW.empresa_id, NEW.id) THEN RETURN NULL; END IF;
  IF retext AND NEW.contenido IS NOT NULL THEN
    PERFORM ateneo.put_words(NEW.empresa_id, NEW.id, NEW.contenido);
  END IF;
  IF revec AND (NEW.embedding IS NOT NULL OR TG_OP = 'UPDATE') THEN
    PERFORM ateneo.put_vec(NEW.empresa_id, NEW.id, NEW.embedding);
  END IF;
  IF retext OR revec THEN
    PERFORM ateneo.queue_row(NEW.empresa_id, NEW.id, NEW.contenido, NEW.embedding IS NOT NULL, retext, TG_OP = 'INSERT');
  END IF;
  RETURN NULL;
END $$;

-- All that is derived from chunks, of all companies. DELETE, not TRUNCATE: a search holds these tables while it waits for the chunks table.
-- Documents stay: who they are, their titles and metadata are not derived, and their files are read again when they come.
CREATE OR REPLACE FUNCTION ateneo.sync_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE g smallint;
BEGIN
  DELETE FROM ateneo.chunk_lex;
  DELETE FROM ateneo.chunk_meta;
  DELETE FROM ateneo.embedding_queue;
  DELETE FROM ateneo.tenant_stats;
  DELETE FROM ateneo.term_stats;
  DELETE FROM ateneo.vocabulary;
  DELETE FROM ateneo.vocabulary_key;
  DELETE FROM ateneo.recall_measured;
  FOR g IN SELECT generation FROM ateneo.generation WHERE state <> 'retired' LOOP EXECUTE format('DELETE FROM ateneo.vec_g%s', g); END LOOP;
  RETURN NULL;
END $$;

-- Our own bulk writes carry their vectors to the index themselves, a batch at a time, and switch this trigger off
-- for their transaction (ateneo.store_embeddings).
CREATE OR REPLACE TRIGGER ateneo_insert AFTER INSERT ON public.knowledge_chunks
  FOR EACH ROW EXECUTE FUNCTION ateneo.sync_row();
CREATE OR REPLACE TRIGGER ateneo_update AFTER UPDATE OF id, empresa_id, contenido, embedding ON public.knowledge_chunks
  FOR EACH ROW WHEN (current_setting('ateneo.bulk', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION ateneo.sync_row();
CREATE OR REPLACE TRIGGER ateneo_delete AFTER DELETE ON public.knowledge_chunks
  FOR EACH ROW EXECUTE FUNCTION ateneo.sync_row();
CREATE OR REPLACE TRIGGER ateneo_truncate AFTER TRUNCATE ON public.knowledge_chunks
  FOR EACH STATEMENT EXECUTE FUNCTION ateneo.sync_truncate();
