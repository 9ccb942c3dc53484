-- The wall between companies, put up by one function for every table that has an empresa_id, whoever made it. It runs
-- at every upgrade and after a new generation; what stands already is left alone. docs/security.md tells the whole.
--   ateneo_app     what the API, the CLI and the agents act as: no rights on the index, one company's rows of the rest
--   ateneo_worker  all companies' rows, no DDL, no keys, no trail: for queues and backfills
--   the owner      whoever ran the upgrade: everything; row-level security does not bind it (no FORCE)
-- Roles belong to the whole server, so they may be missing here and not creatable: then nothing of this applies, and
-- `ateneo doctor` says so.

-- Makes the roles and lets this one act as them. Returns what it may not do, as SQL for whoever may.
CREATE OR REPLACE FUNCTION ateneo.make_roles() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  role text; statement text;
  -- to act as, not to inherit from: a member's own statements stay its own
  how text := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
  act text := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
  FOREACH role IN ARRAY ARRAY['ateneo_app', 'ateneo_worker'] LOOP
    IF to_regrole(role) IS NULL THEN
      statement := format('CREATE ROLE %I NOLOGIN', role);
      BEGIN EXECUTE statement;
      EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;   -- another database's upgrade was quicker
        WHEN insufficient_privilege THEN RETURN NEXT statement;
      END;
    END IF;
    IF to_regrole(role) IS NULL OR NOT pg_has_role(current_user, role, act) THEN
      statement := format('GRANT %I TO %I', role, current_user) || how;
      IF to_regrole(role) IS NULL THEN RETURN NEXT statement; CONTINUE; END IF;
      BEGIN EXECUTE statement;
      EXCEPTION WHEN insufficient_privilege THEN RETURN NEXT statement;
      END;
    END IF;
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION ateneo.tenant_tables() RETURNS TABLE (id oid, name text, record boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.oid, c.oid::regclass::text, c.relnamespace <> 'ateneo'::regnamespace
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'empresa_id' AND NOT a.attisdropped
  WHERE c.relkind IN ('r', 'p') AND (c.relnamespace = 'ateneo'::regnamespace OR c.oid = to_regclass('public.knowledge_chunks'))
  ORDER BY 2
$$;

-- What the application has no business in: the index, which ateneo.search reads for it, keys, queues, upkeep.
CREATE OR REPLACE FUNCTION ateneo.is_hidden(name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT name ~ '^ateneo\.(vec_g\d|chunk_lex$|tenant_stats$|term_stats$|vocabulary|own_index$|recall_measured$|api_key$|erased$|embedding_queue$|embedding_budget$)'
$$;

CREATE OR REPLACE FUNCTION ateneo.protect_tables() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE t record; theirs boolean;
BEGIN
  IF to_regrole('ateneo_app') IS NULL OR to_regrole('ateneo_worker') IS NULL THEN RETURN; END IF;
  FOR t IN SELECT * FROM ateneo.tenant_tables() x
      WHERE NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = x.id AND p.polname = 'ateneo_tenant'
        AND pg_get_expr(p.polwithcheck, p.polrelid) LIKE '%writing_tenant()%') LOOP
    SELECT c.relrowsecurity AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = t.id AND p.polname = 'ateneo_open')
      INTO theirs FROM pg_class c WHERE c.oid = t.id;
    EXECUTE format('DROP POLICY IF EXISTS ateneo_tenant ON %s', t.name);
    -- binds the application to its company whatever other policies allow it
    EXECUTE format('CREATE POLICY ateneo_tenant ON %s AS RESTRICTIVE TO ateneo_app
      USING (empresa_id = (SELECT ateneo.tenant())) WITH CHECK (empresa_id = (SELECT ateneo.writing_tenant()))', t.name);
    -- The record is the user's: other roles see what they saw. `true` is folded away, so that their plans stay, too;
    -- where the user has policies of their own already, theirs go on to decide for their roles.
    CONTINUE WHEN EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = t.id AND p.polname = 'ateneo_open');
    EXECUTE format('CREATE POLICY ateneo_open ON %s TO %s USING (true) WITH CHECK (true)', t.name,
      CASE WHEN t.record AND NOT theirs THEN 'PUBLIC' ELSE 'ateneo_app, ateneo_worker' END);
    IF NOT theirs THEN EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.name); END IF;
    IF t.name = 'ateneo.audit' THEN
      EXECUTE 'GRANT SELECT, INSERT ON ateneo.audit TO ateneo_app';
    ELSIF NOT ateneo.is_hidden(t.name) THEN
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO ateneo_app', t.name);
    END IF;
    IF t.name NOT IN ('ateneo.audit', 'ateneo.api_key', 'ateneo.erased') THEN
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO ateneo_worker', t.name);
    END IF;
  END LOOP;
END $$;

-- The planner's estimates are made of other companies' rows, too, and EXPLAIN shows them: prefix by prefix they would spell
-- the values that ANALYZE keeps. So it keeps none of texts (ids and counts stay, which plans need). An adopted record is its
-- owner's to decide about; docs/security.md says how.
CREATE OR REPLACE FUNCTION ateneo.keep_no_texts() RETURNS void LANGUAGE plpgsql AS $$
DECLARE c record;
BEGIN
  FOR c IN SELECT t.name, a.attname FROM ateneo.tenant_tables() t JOIN pg_attribute a ON a.attrelid = t.id
      WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname !~ '(^|_)id$' AND a.attstattarget IS DISTINCT FROM 0
        AND a.atttypid IN ('text'::regtype, 'text[]'::regtype, 'jsonb'::regtype) AND NOT ateneo.is_hidden(t.name)
        AND (NOT t.record OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.id AND i.indisprimary AND i.indnkeyatts = 2)) LOOP
    EXECUTE format('ALTER TABLE %s ALTER %I SET STATISTICS 0', c.name, c.attname);
  END LOOP;
END $$;

-- A definer's function acts with the owner's rights, so only those that ask ateneo.tenant() first, or that touch no
-- company's rows, are the application's. Functions without SECURITY DEFINER give nobody anything.
CREATE OR REPLACE FUNCTION ateneo.is_application_door(name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT name = ANY ('{tenant,writing_tenant,search,keep_stats,store_own_embeddings,authenticate,active_generation,begin_generation,any_embedding,queue_figures,known_vectors,own_over_budget}'::text[])
$$;

-- What ends something, and what changes the model or the walls themselves: the owner's alone.
CREATE OR REPLACE FUNCTION ateneo.is_owners_alone(name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT name = ANY ('{erase_tables,protect_tables,activate_generation,retire_generation,drop_generation,mark_column}'::text[])
$$;

CREATE OR REPLACE FUNCTION ateneo.protect() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE f record;
BEGIN
  RETURN QUERY SELECT ateneo.make_roles();
  IF to_regrole('ateneo_app') IS NULL OR to_regrole('ateneo_worker') IS NULL THEN RETURN; END IF;
  PERFORM ateneo.protect_tables();
  PERFORM ateneo.keep_no_texts();
  GRANT USAGE ON SCHEMA ateneo TO ateneo_app, ateneo_worker;
  GRANT SELECT ON ateneo.generation, ateneo.applied TO ateneo_app, ateneo_worker;
  FOR f IN SELECT c.oid::regclass::text AS signature FROM pg_class c
      WHERE c.relnamespace = 'ateneo'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname NOT IN ('applied', 'tenant_secret')
        AND NOT EXISTS (SELECT FROM ateneo.tenant_tables() t WHERE t.id = c.oid) LOOP
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO ateneo_worker', f.signature);
  END LOOP;
  FOR f IN SELECT p.oid::regprocedure::text AS signature, p.proname AS name FROM pg_proc p
      WHERE p.pronamespace = 'ateneo'::regnamespace AND p.prosecdef AND p.prorettype <> 'trigger'::regtype LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f.signature);
    IF ateneo.is_application_door(f.name) THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO ateneo_app, ateneo_worker', f.signature);
    ELSIF ateneo.is_owners_alone(f.name) THEN
      EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM ateneo_worker', f.signature);
    ELSE
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO ateneo_worker', f.signature);
    END IF;
  END LOOP;
  IF NOT has_schema_privilege('ateneo_app', '@vector@', 'USAGE') THEN
    GRANT USAGE ON SCHEMA @vector@ TO ateneo_app, ateneo_worker;
  END IF;
END $$;

DROP FUNCTION IF EXISTS ateneo.isolated();
