-- Answers of the company's to requests that may be repeated.

-- Claims the key for a request. `outcome`: mine (it is to be answered, and kept), kept (the answer to give again), running
-- (another request with the key is being answered), other (the key is another request's).
CREATE OR REPLACE FUNCTION ateneo.own_answer_claim(p_empresa text, p_key bytea, p_request bytea, p_claim uuid, p_lease interval, p_kept interval)
RETURNS TABLE (outcome text, status int, headers jsonb, body bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE tenant text := ateneo.writing_tenant(p_empresa); held ateneo.kept_answer;
BEGIN
  INSERT INTO ateneo.kept_answer AS a (empresa_id, key_hash, request_hash, claim, claimed_until, expires_at)
    VALUES (tenant, p_key, p_request, p_claim, now() + p_lease, now() + p_kept)
    ON CONFLICT (empresa_id, key_hash) DO UPDATE SET request_hash = excluded.request_hash, claim = excluded.claim,
      claimed_until = excluded.claimed_until, expires_at = excluded.expires_at, status = NULL, headers = NULL, body = NULL
      WHERE a.empresa_id = tenant AND (a.expires_at <= now()
        OR (a.status IS NULL AND a.claimed_until <= now() AND a.request_hash = excluded.request_hash))
    RETURNING * INTO held;
  IF FOUND THEN RETURN QUERY SELECT 'mine', NULL::int, NULL::jsonb, NULL::bytea; RETURN; END IF;
  SELECT * INTO held FROM ateneo.kept_answer a WHERE a.empresa_id = tenant AND a.key_hash = p_key;
  RETURN QUERY SELECT CASE WHEN held.request_hash <> p_request THEN 'other' WHEN held.status IS NULL THEN 'running' ELSE 'kept' END,
    held.status, held.headers, held.body;
END $$;

-- Keeps the answer, unless the claim was lost meanwhile.
CREATE OR REPLACE FUNCTION ateneo.own_answer_keep(p_empresa text, p_key bytea, p_claim uuid, p_status int, p_headers jsonb, p_body bytea)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  UPDATE ateneo.kept_answer a SET status = p_status, headers = p_headers, body = p_body
    WHERE a.empresa_id = tenant AND a.key_hash = p_key AND a.claim = p_claim;
END $$;

-- Gives the key up for the next request: there is no answer to keep.
CREATE OR REPLACE FUNCTION ateneo.own_answer_release(p_empresa text, p_key bytea, p_claim uuid)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  DELETE FROM ateneo.kept_answer a
    WHERE a.empresa_id = tenant AND a.key_hash = p_key AND a.claim = p_claim AND a.status IS NULL;
END $$;
