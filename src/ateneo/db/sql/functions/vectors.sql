-- The bulk way in for embeddings: a batch in one statement, into the guide's column and into the index alike. A vector
-- is kept only where the text is still the one that was embedded, and where no writer holds the row right now (a wait here
-- could be half of a deadlock with the user's own statement): such a row stays in the queue. The hashes are compared by IS NOT DISTINCT FROM because
-- that cannot be a join key: as one, every text of the table would be hashed. Vectors stay in their array, looked up by number: carried
-- along from step to step, they were a third of the time.
DROP FUNCTION IF EXISTS ateneo.store_embeddings(smallint, text[], text[], bytea[], real[], int);

-- Vectors end to end, cut up: for clients that cannot send vector[].
CREATE OR REPLACE FUNCTION ateneo.cut_vectors(flat real[], dims int) RETURNS @vector@.vector[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT array_agg(flat[n-dims+1 : n]::@vector@.vector ORDER BY n) FROM generate_series(dims, cardinality(flat), dims) n
$$;

CREATE OR REPLACE FUNCTION ateneo.store_embeddings(gen smallint, empresas text[], ids text[], hashes bytea[], vectors @vector@.vector[])
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- by the keys of the batch, never by a look at the whole queue
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE n bigint; is_legacy boolean; d int := @vector@.vector_dims(vectors[1]);
BEGIN
  SELECT g.legacy INTO is_legacy FROM ateneo.generation g WHERE g.generation = gen AND g.dims = d AND g.state <> 'retired';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'ateneo: no generation % of % dimensions', gen, d USING ERRCODE = 'AT001';
  END IF;
  PERFORM set_config('ateneo.bulk', 'on', true);
  EXECUTE format($q$
    WITH given AS (
      SELECT * FROM unnest($1, $2, $3) WITH ORDINALITY AS t(e, i, h, n)),
    held AS MATERIALIZED (
      SELECT k.empresa_id, k.id, k.tableoid AS part, k.ctid AS place, g.n FROM given g
      JOIN public.knowledge_chunks k ON k.id = g.i AND k.empresa_id = g.e
      WHERE sha256(convert_to(k.contenido, 'UTF8')) IS NOT DISTINCT FROM g.h
      FOR NO KEY UPDATE OF k SKIP LOCKED),
    written AS (%2$s),
    waits_no_more AS (
      DELETE FROM ateneo.embedding_queue q USING written w
      WHERE q.empresa_id = w.empresa_id AND q.chunk_id = w.id AND q.generation + 0 = $5)
    INSERT INTO ateneo.vec_g%1$s (empresa_id, chunk_id, embedding)
    SELECT w.empresa_id, w.id, @vector@.l2_normalize(w.v)::@vector@.halfvec
    FROM (SELECT w.empresa_id, w.id, ($4)[w.n] AS v FROM written w OFFSET 0) w WHERE ateneo.indexable(w.v)
    ON CONFLICT (empresa_id, chunk_id) DO UPDATE SET embedding = excluded.embedding $q$, gen,
    CASE WHEN is_legacy THEN 'UPDATE public.knowledge_chunks k SET embedding = ($4)[h.n] FROM held h
        WHERE k.tableoid = h.part AND k.ctid = h.place RETURNING k.empresa_id, k.id, h.n'
      ELSE 'SELECT h.empresa_id, h.id, h.n FROM held h' END)
    USING empresas, ids, hashes, vectors, gen;
  GET DIAGNOSTICS n = ROW_COUNT;
  PERFORM set_config('ateneo.bulk', 'off', true);
  RETURN n;
END $$;
