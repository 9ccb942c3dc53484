-- The bulk way in for embeddings: a batch in one statement, into the guide's column and into the index alike. A vector
-- is kept only where the text is still the one that was embedded. The hashes are compared by IS NOT DISTINCT FROM because
-- that cannot be a join key: as one, every text of the table would be hashed.
DROP FUNCTION IF EXISTS ateneo.store_embeddings(smallint, text[], text[], bytea[], real[], int);

-- Vectors end to end, cut up: for clients that cannot send vector[].
CREATE OR REPLACE FUNCTION ateneo.cut_vectors(flat real[], dims int) RETURNS @vector@.vector[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT array_agg(flat[n-dims+1 : n]::@vector@.vector ORDER BY n) FROM generate_series(dims, cardinality(flat), dims) n
$$;

CREATE OR REPLACE FUNCTION ateneo.store_embeddings(gen smallint, empresas text[], ids text[], hashes bytea[], vectors @vector@.vector[])
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE n bigint; is_legacy boolean; d int := @vector@.vector_dims(vectors[1]);
BEGIN
  SELECT g.legacy INTO is_legacy FROM ateneo.generation g WHERE g.generation = gen AND g.dims = d;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'ateneo: no generation % of % dimensions', gen, d USING ERRCODE = 'AT001';
  END IF;
  PERFORM set_config('ateneo.bulk', 'on', true);
  EXECUTE format($q$
    WITH given AS (
      SELECT * FROM unnest($1, $2, $3, $4) AS t(e, i, h, v)),
    written AS (
      UPDATE public.knowledge_chunks k SET embedding = CASE WHEN $5 THEN g.v ELSE k.embedding END FROM given g
      WHERE k.id = g.i AND k.empresa_id = g.e AND sha256(convert_to(k.contenido, 'UTF8')) IS NOT DISTINCT FROM g.h
      RETURNING k.empresa_id, k.id, g.v)
    INSERT INTO ateneo.vec_g%s (empresa_id, chunk_id, embedding)
    SELECT w.empresa_id, w.id, @vector@.l2_normalize(w.v)::@vector@.halfvec FROM written w WHERE ateneo.indexable(w.v)
    ON CONFLICT (empresa_id, chunk_id) DO UPDATE SET embedding = excluded.embedding $q$, gen)
    USING empresas, ids, hashes, vectors, is_legacy;
  GET DIAGNOSTICS n = ROW_COUNT;
  PERFORM set_config('ateneo.bulk', 'off', true);
  RETURN n;
END $$;
