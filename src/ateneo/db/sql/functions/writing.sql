-- The tenant of a statement that writes, which is none where the company was erased. The lock is shared by its writers and
-- held to the end of their transactions, so that ateneo.erase_tables waits for those that had begun.
CREATE OR REPLACE FUNCTION ateneo.writing_tenant() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant();
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtextextended('ateneo.company:' || tenant, 0));
  IF EXISTS (SELECT FROM ateneo.erased e WHERE e.empresa_id = tenant) THEN
    RAISE EXCEPTION 'ateneo: the company was erased' USING ERRCODE = 'AT004';
  END IF;
  RETURN tenant;
END $$;

-- The same, where whoever calls says which company they mean: it must be that one.
CREATE OR REPLACE FUNCTION ateneo.writing_tenant(p_empresa text) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM ateneo.tenant(p_empresa);
  RETURN ateneo.writing_tenant();
END $$;

-- Whether what works for all companies may go on with this one: not where it was erased, or is being erased. Its end waits
-- for the transaction then. It is tried, not waited for: whoever asks may hold rows that the erasure wants.
CREATE OR REPLACE FUNCTION ateneo.still_there(p_empresa text) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT pg_try_advisory_xact_lock_shared(hashtextextended('ateneo.company:' || p_empresa, 0))
    AND NOT EXISTS (SELECT FROM ateneo.erased e WHERE e.empresa_id = p_empresa)
$$;

-- What a provider billed for a company that went meanwhile is nobody's any more.
CREATE OR REPLACE FUNCTION ateneo.charge_who_is_there() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN CASE WHEN ateneo.still_there(NEW.empresa_id) THEN NEW END;
END $$;
CREATE OR REPLACE TRIGGER ateneo_charge_who_is_there BEFORE INSERT ON ateneo.embedding_usage
  FOR EACH ROW EXECUTE FUNCTION ateneo.charge_who_is_there();
