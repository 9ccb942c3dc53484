-- What the application may have done with the owner's rights, for its own company alone.

-- Refreshes the company's term statistics if its size has moved by half: right after a write, so that its words can
-- correct a query at once. Above 20,000 chunks it would keep the writer waiting, and maintenance does it.
CREATE OR REPLACE FUNCTION ateneo.keep_stats() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant();
BEGIN
  IF (SELECT count(*) FROM (SELECT FROM ateneo.chunk_lex c WHERE c.empresa_id = tenant LIMIT 20001) few) <= 20000 THEN
    PERFORM ateneo.refresh_stats_if_stale(tenant);
  END IF;
END $$;

CREATE OR REPLACE FUNCTION ateneo.store_own_embeddings(gen smallint, ids text[], hashes bytea[], vectors @vector@.vector[])
RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT ateneo.store_embeddings(gen, array_fill(ateneo.writing_tenant(), ARRAY[cardinality(ids)]), ids, hashes, vectors)
$$;

-- Whether the guide's column holds any vector, of whichever company: a database without a generation asks it once.
CREATE OR REPLACE FUNCTION ateneo.any_embedding() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
  'SELECT EXISTS (SELECT FROM public.knowledge_chunks WHERE embedding IS NOT NULL)';

-- The first generation, with the vectors that other programs left in the guide's column. Where there is one already
-- that holds vectors, it is that one or nothing: an application does not change the model.
CREATE OR REPLACE FUNCTION ateneo.begin_generation(p_provider text, p_model text, p_dims int) RETURNS smallint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE g smallint; page record; after_id text;
BEGIN
  PERFORM ateneo.retire_empty(x.generation) FROM ateneo.generation x
    WHERE x.active AND (x.provider, x.model, x.dims) IS DISTINCT FROM (p_provider, p_model, p_dims);
  IF NOT EXISTS (SELECT FROM ateneo.generation WHERE state <> 'retired') THEN
    g := ateneo.create_generation(p_provider, p_model, p_dims);
    LOOP
      SELECT * INTO page FROM ateneo.reconcile_page(after_id, 2000);
      EXIT WHEN page.last_id IS NULL;
      after_id := page.last_id;
    END LOOP;
    RETURN g;
  END IF;
  RETURN (SELECT generation FROM ateneo.generation WHERE provider = p_provider AND model = p_model AND dims = p_dims AND state <> 'retired');
END $$;

-- The key with this prefix and this sha256, if it still holds; no row else, for whatever reason. Notes its use once a
-- minute, and from where, so that a busy key does not become a busy row.
CREATE OR REPLACE FUNCTION ateneo.authenticate(p_prefix text, p_hash bytea, p_address text) RETURNS SETOF ateneo.api_key
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE held ateneo.api_key;
BEGIN
  SELECT * INTO held FROM ateneo.api_key k WHERE k.prefix = p_prefix AND k.key_hash = p_hash
    AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now());
  IF NOT FOUND THEN RETURN; END IF;
  IF (held.last_used_at > now() - interval '1 minute') IS NOT TRUE THEN
    UPDATE ateneo.api_key SET last_used_at = now(), last_used_from = left(p_address, 100) WHERE key_id = held.key_id;
  END IF;
  RETURN NEXT held;
END $$;
-- Of the last release.
CREATE OR REPLACE FUNCTION ateneo.authenticate(p_prefix text, p_hash bytea) RETURNS SETOF ateneo.api_key
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
  'SELECT * FROM ateneo.authenticate(p_prefix, p_hash, NULL)';

-- Append-only: not even the owner's statements change the audit log, unless they say that a company is being erased.
CREATE OR REPLACE FUNCTION ateneo.keep_trail() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' AND current_setting('ateneo.erasing', true) = OLD.empresa_id THEN RETURN OLD; END IF;
  RAISE EXCEPTION 'ateneo: the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE OR REPLACE TRIGGER ateneo_keep_trail BEFORE UPDATE OR DELETE ON ateneo.audit
  FOR EACH ROW EXECUTE FUNCTION ateneo.keep_trail();
CREATE OR REPLACE TRIGGER ateneo_keep_whole_trail BEFORE TRUNCATE ON ateneo.audit
  FOR EACH STATEMENT EXECUTE FUNCTION ateneo.keep_trail();

-- The company's next line. The lock is the company's own, until the end of the transaction.
CREATE OR REPLACE FUNCTION ateneo.number_line() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('ateneo.audit:' || NEW.empresa_id, 0));
  NEW.audit_id := (SELECT coalesce(max(a.audit_id), 0) + 1 FROM ateneo.audit a WHERE a.empresa_id = NEW.empresa_id);
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER ateneo_number_line BEFORE INSERT ON ateneo.audit
  FOR EACH ROW EXECUTE FUNCTION ateneo.number_line();
