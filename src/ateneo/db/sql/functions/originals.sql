-- Files as they were sent (docs/adr/0056-originals.md).

-- Begins an original of the tenant's. True: its parts are to be put, in this transaction. Either way it stays until the transaction
-- ends, so that what is to use it can be written.
CREATE OR REPLACE FUNCTION ateneo.own_begin_original(p_empresa text, p_sha256 bytea, p_bytes bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  LOOP
    INSERT INTO ateneo.original (empresa_id, sha256, bytes) VALUES (tenant, p_sha256, p_bytes) ON CONFLICT DO NOTHING;
    IF FOUND THEN RETURN true; END IF;
    PERFORM FROM ateneo.original o WHERE o.empresa_id = tenant AND o.sha256 = p_sha256 FOR SHARE;
    IF FOUND THEN RETURN false; END IF;   -- else it was deleted just now
  END LOOP;
END $$;

-- Its parts from number `first` on.
CREATE OR REPLACE FUNCTION ateneo.own_put_parts(p_empresa text, p_sha256 bytea, first int, parts bytea[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  INSERT INTO ateneo.original_part (empresa_id, sha256, part, data)
    SELECT tenant, p_sha256, first + p.n::int - 1, p.data FROM unnest(parts) WITH ORDINALITY p(data, n)
    WHERE EXISTS (SELECT FROM ateneo.original o WHERE o.empresa_id = tenant AND o.sha256 = p_sha256);
END $$;

-- Takes it back where nothing uses it: the document that it was for is another's version by now.
CREATE OR REPLACE FUNCTION ateneo.own_settle_original(p_empresa text, p_sha256 bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM ateneo.drop_unused_original(ateneo.writing_tenant(p_empresa), p_sha256);
END $$;

CREATE OR REPLACE FUNCTION ateneo.own_part(p_empresa text, p_sha256 bytea, p_part int) RETURNS bytea
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN (SELECT p.data FROM ateneo.original_part p WHERE p.empresa_id = tenant AND p.sha256 = p_sha256 AND p.part = p_part);
END $$;

-- The original of one of the tenant's documents.
CREATE OR REPLACE FUNCTION ateneo.own_original(p_empresa text, p_document text) RETURNS TABLE (sha256 bytea, bytes bigint, source text, mime text, stored_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT o.sha256, o.bytes, d.source, d.mime, d.updated_at FROM ateneo.document d
    JOIN ateneo.original o ON o.empresa_id = tenant AND o.sha256 = d.content_hash
    WHERE d.empresa_id = tenant AND d.document_id = p_document;
END $$;

-- Whoever begins to use an original holds its row until that is written; here the row is locked first and the uses are looked for by a
-- statement of their own, which sees them.
CREATE OR REPLACE FUNCTION ateneo.drop_unused_original(p_empresa text, p_sha256 bytea) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM FROM ateneo.original o WHERE o.empresa_id = p_empresa AND o.sha256 = p_sha256 FOR UPDATE;
  IF NOT FOUND
    OR EXISTS (SELECT FROM ateneo.document d WHERE d.empresa_id = p_empresa AND d.content_hash = p_sha256)
    OR EXISTS (SELECT FROM ateneo.job j WHERE j.empresa_id = p_empresa AND j.sha256 = p_sha256 AND (j.ended_at IS NULL OR j.state = 'failed'))
    THEN RETURN;
  END IF;
  DELETE FROM ateneo.original_part p WHERE p.empresa_id = p_empresa AND p.sha256 = p_sha256;
  DELETE FROM ateneo.original o WHERE o.empresa_id = p_empresa AND o.sha256 = p_sha256;
END $$;

-- A document that goes takes along its original, where nothing else uses it, and the uploads that would bring it back. An erasure takes all.
CREATE OR REPLACE FUNCTION ateneo.document_left_original() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF current_setting('ateneo.erasing', true) = OLD.empresa_id THEN RETURN NULL; END IF;
  IF TG_OP = 'DELETE' THEN
    PERFORM ateneo.cancel_open_jobs(OLD.empresa_id, ARRAY(SELECT j.job_id FROM ateneo.job j
      WHERE j.empresa_id = OLD.empresa_id AND j.document_id = OLD.document_id AND j.ended_at IS NULL));
  END IF;
  PERFORM ateneo.drop_unused_original(OLD.empresa_id, OLD.content_hash);
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER ateneo_document_deleted AFTER DELETE ON ateneo.document
  FOR EACH ROW WHEN (OLD.origin IS NULL OR OLD.origin NOT LIKE 'table:%') EXECUTE FUNCTION ateneo.document_left_original();
CREATE OR REPLACE TRIGGER ateneo_document_replaced AFTER UPDATE OF content_hash ON ateneo.document
  FOR EACH ROW WHEN (OLD.content_hash IS DISTINCT FROM NEW.content_hash AND (OLD.origin IS NULL OR OLD.origin NOT LIKE 'table:%'))
  EXECUTE FUNCTION ateneo.document_left_original();

CREATE OR REPLACE FUNCTION ateneo.job_left_original() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF current_setting('ateneo.erasing', true) IS DISTINCT FROM OLD.empresa_id THEN
    PERFORM ateneo.drop_unused_original(OLD.empresa_id, OLD.sha256);
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER ateneo_job_ended AFTER UPDATE OF ended_at ON ateneo.job
  FOR EACH ROW WHEN (NEW.ended_at IS NOT NULL) EXECUTE FUNCTION ateneo.job_left_original();
CREATE OR REPLACE TRIGGER ateneo_job_deleted AFTER DELETE ON ateneo.job
  FOR EACH ROW EXECUTE FUNCTION ateneo.job_left_original();
