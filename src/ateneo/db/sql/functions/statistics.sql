-- Term statistics and the vocabulary, a company at a time. avgdl stays frozen while documents come and go, because it is
-- baked into chunk_lex.bm25 (a drift of x0.67..1.5 costs less than 0.4 nDCG); beyond that the words are weighed anew,
-- as they are when k1 or b change.
DROP FUNCTION IF EXISTS ateneo.refresh_stats(text);

-- Words of 4 to 40 letters; a query's are corrected by them.
CREATE OR REPLACE FUNCTION ateneo.words(folded text) RETURNS SETOF text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT DISTINCT w FROM unnest(regexp_split_to_array(folded, '[^a-zñ]+')) w WHERE length(w) BETWEEN 4 AND 40
$$;

CREATE OR REPLACE FUNCTION ateneo.word_keys(word text) RETURNS SETOF bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT DISTINCT hashtextextended(left(word, at - 1) || substr(word, at + 1), 0) FROM generate_series(1, length(word) + 1) at
$$;

CREATE OR REPLACE FUNCTION ateneo.refresh_vocabulary(p_empresa text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- never one that is there: a caller may have made it, with triggers that would run with the owner's rights
  DROP TABLE IF EXISTS pg_temp.ateneo_counted;
  CREATE TEMP TABLE ateneo_counted (word text, df int) ON COMMIT DROP;
  INSERT INTO pg_temp.ateneo_counted
    SELECT w, count(*) FROM public.knowledge_chunks k, ateneo.words(ateneo.fold(left(k.contenido, 200000))) w
    WHERE k.empresa_id = p_empresa AND k.contenido IS NOT NULL GROUP BY w;
  DELETE FROM ateneo.vocabulary v WHERE v.empresa_id = p_empresa
    AND NOT EXISTS (SELECT FROM pg_temp.ateneo_counted c WHERE c.word = v.word);
  DELETE FROM ateneo.vocabulary_key k WHERE k.empresa_id = p_empresa
    AND NOT EXISTS (SELECT FROM pg_temp.ateneo_counted c WHERE c.word = k.word);
  INSERT INTO ateneo.vocabulary_key (empresa_id, key, word)
    SELECT p_empresa, key, c.word FROM pg_temp.ateneo_counted c, ateneo.word_keys(c.word) key
    WHERE NOT EXISTS (SELECT FROM ateneo.vocabulary v WHERE v.empresa_id = p_empresa AND v.word = c.word)
    ON CONFLICT DO NOTHING;
  INSERT INTO ateneo.vocabulary AS v (empresa_id, word, df) SELECT p_empresa, word, df FROM pg_temp.ateneo_counted
    ON CONFLICT (empresa_id, word) DO UPDATE SET df = excluded.df WHERE v.df <> excluded.df;
END $$;

CREATE OR REPLACE FUNCTION ateneo.refresh_stats(p_empresa text, p_k1 float8 DEFAULT NULL, p_b float8 DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 AS $$
DECLARE now_n int; now_avgdl float8; baked ateneo.tenant_stats; weigh boolean;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('ateneo.stats' || p_empresa, 0));
  IF NOT ateneo.still_there(p_empresa) THEN RETURN; END IF;
  SELECT count(*), greatest(coalesce(avg(dl), 1), 1) INTO now_n, now_avgdl FROM ateneo.chunk_lex WHERE empresa_id = p_empresa;
  SELECT * INTO baked FROM ateneo.tenant_stats WHERE empresa_id = p_empresa;
  -- what put_words assumes for a company that it has not met
  baked.avgdl := coalesce(baked.avgdl, 60); baked.k1 := coalesce(baked.k1, 1.2); baked.b := coalesce(baked.b, 0.75);
  weigh := now_avgdl NOT BETWEEN baked.avgdl * 0.67 AND baked.avgdl * 1.5
    OR baked.k1 IS DISTINCT FROM coalesce(p_k1, baked.k1) OR baked.b IS DISTINCT FROM coalesce(p_b, baked.b);
  INSERT INTO ateneo.tenant_stats AS s (empresa_id, n, avgdl, k1, b)
    VALUES (p_empresa, now_n, CASE WHEN weigh THEN now_avgdl ELSE baked.avgdl END, coalesce(p_k1, baked.k1), coalesce(p_b, baked.b))
    ON CONFLICT (empresa_id) DO UPDATE
      SET n = excluded.n, avgdl = excluded.avgdl, k1 = excluded.k1, b = excluded.b, built_at = now();
  IF weigh THEN
    PERFORM ateneo.put_words(k.empresa_id, k.id, k.contenido) FROM ateneo.chunk_lex c
      JOIN public.knowledge_chunks k ON k.empresa_id = p_empresa AND k.id = c.chunk_id
      WHERE c.empresa_id = p_empresa AND k.contenido IS NOT NULL;
  END IF;
  DELETE FROM ateneo.term_stats WHERE empresa_id = p_empresa;
  INSERT INTO ateneo.term_stats (empresa_id, term, df)
    SELECT p_empresa, t, count(*) FROM ateneo.chunk_lex c, unnest(c.terms) t WHERE c.empresa_id = p_empresa GROUP BY t;
  PERFORM ateneo.refresh_vocabulary(p_empresa);
  PERFORM gin_clean_pending_list('ateneo.chunk_lex_terms');   -- every search reads all of that list
END $$;

-- Refreshes where the number of chunks has moved by half since the last time, or k1 or b are to be others. Returns
-- whether it did.
DROP FUNCTION IF EXISTS ateneo.refresh_stats_if_stale(text);
CREATE OR REPLACE FUNCTION ateneo.refresh_stats_if_stale(p_empresa text, p_k1 float8 DEFAULT NULL, p_b float8 DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE had ateneo.tenant_stats; has int;
BEGIN
  SELECT * INTO had FROM ateneo.tenant_stats WHERE empresa_id = p_empresa;
  SELECT count(*) INTO has FROM ateneo.chunk_lex WHERE empresa_id = p_empresa;
  IF had.n IS NOT NULL AND has BETWEEN had.n * 0.67 AND had.n * 1.5
    AND had.k1 = coalesce(p_k1, had.k1) AND had.b = coalesce(p_b, had.b) THEN RETURN false; END IF;
  PERFORM ateneo.refresh_stats(p_empresa, p_k1, p_b);
  RETURN true;
END $$;
