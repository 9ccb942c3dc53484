-- Who is asking: the setting ateneo.empresa_id of the transaction. No tenant set is an error, never "all".
CREATE OR REPLACE FUNCTION ateneo.tenant() RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE who text := nullif(current_setting('ateneo.empresa_id', true), '');
BEGIN
  IF who IS NULL THEN
    RAISE EXCEPTION 'ateneo: no tenant set' USING ERRCODE = 'insufficient_privilege',
      HINT = 'SET LOCAL ateneo.empresa_id = ''...'' inside the transaction';
  END IF;
  RETURN who;
END $$;
