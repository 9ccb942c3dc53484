-- What an upgrade records (db/versions.py), and who may not: a program that is older than the database.

-- A digest of the functions and triggers of these names as the catalogs have them; NULL where there are none.
CREATE OR REPLACE FUNCTION ateneo.made(functions text[], triggers text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT md5(string_agg(d.definition, E'\n' ORDER BY d.definition COLLATE "C")) FROM (
    SELECT pg_get_functiondef(p.oid) AS definition FROM pg_proc p
      WHERE p.pronamespace = 'ateneo'::regnamespace AND p.proname::text = ANY (functions) AND p.prokind IN ('f', 'p')
    UNION ALL
    SELECT pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text FROM pg_trigger t
      WHERE t.tgname::text = ANY (triggers) AND NOT t.tgisinternal AND t.tgparentid = 0) d
$$;

-- An upgrade says in `ateneo.upgrading` which version it brings. Programs from before this rule say nothing.
CREATE OR REPLACE FUNCTION ateneo.refuse_older() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  brought int := coalesce(nullif(current_setting('ateneo.upgrading', true), '')::int, 0);
  have int := (SELECT v.version FROM ateneo.schema_version v);
BEGIN
  IF brought < have THEN
    RAISE EXCEPTION 'ateneo: this database has version % of the schema, and the program that upgrades it is older', have
      USING ERRCODE = 'AT005', HINT = 'Upgrade with the latest Ateneo that is in use; nothing was changed.';
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER ateneo_refuse_older BEFORE INSERT OR UPDATE OR DELETE ON ateneo.applied
  FOR EACH STATEMENT EXECUTE FUNCTION ateneo.refuse_older();
CREATE OR REPLACE TRIGGER ateneo_refuse_older BEFORE INSERT OR UPDATE OR DELETE ON ateneo.function_file
  FOR EACH STATEMENT EXECUTE FUNCTION ateneo.refuse_older();
