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
