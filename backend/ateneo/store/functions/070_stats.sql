-- Term statistics, a company at a time. avgdl stays frozen while documents come and go, because it is baked into
-- chunk_lex.bm25 (a drift of x0.67..1.5 costs less than 0.4 nDCG); beyond that the words are weighed anew.
CREATE OR REPLACE FUNCTION ateneo.refresh_stats(p_empresa text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 AS $$
DECLARE now_n int; now_avgdl float8; baked float8;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('ateneo.stats' || p_empresa, 0));
  SELECT count(*), greatest(coalesce(avg(dl), 1), 1) INTO now_n, now_avgdl FROM ateneo.chunk_lex WHERE empresa_id = p_empresa;
  SELECT avgdl INTO baked FROM ateneo.tenant_stats WHERE empresa_id = p_empresa;
  baked := coalesce(baked, 60);   -- what put_words assumes for a company it has not met
  IF now_avgdl NOT BETWEEN baked * 0.67 AND baked * 1.5 THEN
    UPDATE ateneo.chunk_lex c SET bm25 = a.bm25
      FROM public.knowledge_chunks k, LATERAL ateneo.analyse(k.empresa_id, k.contenido, now_avgdl) a
      WHERE c.empresa_id = p_empresa AND k.empresa_id = p_empresa AND k.id = c.chunk_id AND k.contenido IS NOT NULL;
    baked := now_avgdl;
  END IF;
  INSERT INTO ateneo.tenant_stats AS s (empresa_id, n, avgdl) VALUES (p_empresa, now_n, baked)
    ON CONFLICT (empresa_id) DO UPDATE SET n = excluded.n, avgdl = excluded.avgdl, built_at = now();
  DELETE FROM ateneo.term_stats WHERE empresa_id = p_empresa;
  INSERT INTO ateneo.term_stats (empresa_id, term, df)
    SELECT p_empresa, t, count(*) FROM ateneo.chunk_lex c, unnest(c.terms) t WHERE c.empresa_id = p_empresa GROUP BY t;
END $$;

-- Refreshes where the number of chunks has moved by half since the last time. Returns whether it did.
CREATE OR REPLACE FUNCTION ateneo.refresh_stats_if_stale(p_empresa text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE had int; has int;
BEGIN
  SELECT n INTO had FROM ateneo.tenant_stats WHERE empresa_id = p_empresa;
  SELECT count(*) INTO has FROM ateneo.chunk_lex WHERE empresa_id = p_empresa;
  IF had IS NOT NULL AND has BETWEEN had * 0.67 AND had * 1.5 THEN RETURN false; END IF;
  PERFORM ateneo.refresh_stats(p_empresa);
  RETURN true;
END $$;
