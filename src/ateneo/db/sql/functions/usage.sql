-- What the company's embeddings cost: the application adds to it, and nothing else.

CREATE OR REPLACE FUNCTION ateneo.own_charge(p_empresa text, p_provider text, p_model text, p_texts bigint, p_tokens bigint, p_usd float8)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  -- NaN is greater than every number
  IF (p_texts BETWEEN 0 AND 1e9 AND p_tokens BETWEEN 0 AND 1e12 AND p_usd BETWEEN 0 AND 1e6
      AND length(p_provider) <= 200 AND length(p_model) <= 500) IS NOT TRUE THEN
    RAISE EXCEPTION 'ateneo: that is no charge' USING ERRCODE = 'check_violation', SCHEMA = 'ateneo';
  END IF;
  INSERT INTO ateneo.embedding_usage AS u (empresa_id, provider, model, day, texts, tokens, usd)
    VALUES (tenant, p_provider, p_model, (now() AT TIME ZONE 'UTC')::date, p_texts, p_tokens, p_usd)
    ON CONFLICT (empresa_id, day, provider, model) DO UPDATE SET texts = u.texts + excluded.texts,
      tokens = u.tokens + excluded.tokens, usd = u.usd + excluded.usd;
END $$;
