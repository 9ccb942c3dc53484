-- The company's audit log: lines are added and read, never changed.

CREATE OR REPLACE FUNCTION ateneo.own_audit_append(p_empresa text, p_entries jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  -- numbered one by one, in their order (ateneo.number_line)
  INSERT INTO ateneo.audit (empresa_id, actor, action, target, status, results, request_id)
    SELECT tenant, e.actor, e.action, e.target, e.status, e.results, e.request_id
    FROM ROWS FROM (jsonb_populate_recordset(NULL::ateneo.audit, p_entries)) WITH ORDINALITY
      AS e (empresa_id, audit_id, at, actor, action, target, status, results, request_id, place) ORDER BY e.place;
END $$;

-- The last lines before a number, the newest first.
CREATE OR REPLACE FUNCTION ateneo.own_audit(p_empresa text, p_before bigint, p_limit int) RETURNS SETOF ateneo.audit
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT a.* FROM ateneo.audit a WHERE a.empresa_id = tenant AND (p_before IS NULL OR a.audit_id < p_before)
    ORDER BY a.audit_id DESC LIMIT p_limit;
END $$;
