-- Deletes everything of a company from every table that tells companies apart, whoever made it, and its HNSW graphs, whose
-- definitions name it. Returns what there was. The index goes first: the chunks table's triggers then find nothing to do.
CREATE OR REPLACE FUNCTION ateneo.erase_tables(p_empresa text) RETURNS TABLE (name text, rows bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE t record; gone text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('ateneo.company:' || p_empresa, 0));
  PERFORM set_config('ateneo.erasing', p_empresa, true);
  FOR t IN SELECT x.* FROM ateneo.tenant_tables() x JOIN pg_class c ON c.oid = x.id
      WHERE NOT c.relispartition AND x.name <> 'ateneo.erased' ORDER BY x.record, x.name LOOP
    EXECUTE format('DELETE FROM %s WHERE empresa_id = $1', t.name) USING p_empresa;
    GET DIAGNOSTICS rows = ROW_COUNT;
    name := t.name;
    IF rows > 0 THEN RETURN NEXT; END IF;
  END LOOP;
  DELETE FROM ateneo.rebuild r WHERE r.scope = p_empresa;
  FOR gone IN SELECT i.name FROM ateneo.generation g, LATERAL ateneo.own_indexes(g.generation) i
      WHERE i.name = ateneo.own_index_name(g.generation, p_empresa) LOOP
    EXECUTE format('DROP INDEX ateneo.%I', gone);
    name := gone; rows := 1;
    RETURN NEXT;
  END LOOP;
  PERFORM set_config('ateneo.erasing', '', true);
END $$;
