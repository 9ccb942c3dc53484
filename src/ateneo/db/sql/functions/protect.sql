-- The isolation of companies, put up by one function for every table that has an empresa_id, whoever made it. It runs
-- at every upgrade and after a new generation; what stands already is left alone. docs/security.md tells the whole.
--   ateneo_app     what the API, the CLI and the agents act as: no right on any table of companies' rows; functions that ask for
--                  the company read and write them for it (docs/adr/0050-functions-in-place-of-tables.md)
--   ateneo_worker  all companies' rows, no DDL, no keys, no audit log: for queues and backfills
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
  SELECT name ~ '^ateneo\.(vec_g\d|chunk_lex$|tenant_stats$|term_stats$|vocabulary|own_index$|recall_measured$|api_key$|erased$|embedding_queue$|embedding_budget$|embedding_usage$|source_row$|job$|original|kept_answer$)'
$$;

-- Whether the table has the policy that binds the application to its company.
CREATE OR REPLACE FUNCTION ateneo.has_tenant_policy(id oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = id AND p.polname = 'ateneo_tenant' AND NOT p.polpermissive
    AND p.polcmd = '*' AND p.polroles = ARRAY[to_regrole('ateneo_app')::oid]
    AND pg_get_expr(p.polqual, id) ~ '^\(+empresa_id\)?(::text)? = \( SELECT ateneo\.tenant\(\) AS tenant\)\)$'
    AND pg_get_expr(p.polwithcheck, id) ~ '^\(+empresa_id\)?(::text)? = \( SELECT ateneo\.writing_tenant\(\) AS writing_tenant\)\)$')
$$;

-- A definer's function acts with the owner's rights, so only those that ask ateneo.tenant() first, or that touch no
-- company's rows, are the application's. Functions without SECURITY DEFINER give nobody anything.
CREATE OR REPLACE FUNCTION ateneo.is_application_door(name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT name = ANY ('{
    tenant,writing_tenant,search,keep_stats,store_own_embeddings,known_vectors,any_embedding,
    authenticate,queue_figures,own_over_budget,
    active_generation,begin_generation,model_is_open,column_dims,
    own_agents,own_agent,own_agent_save,own_agent_delete,
    own_conversation,own_conversations,own_conversation_begin,own_summary_keep,own_conversation_delete,own_conversations_purge,
    own_turns,own_turn_add,own_turns_outside,own_turn_rate,own_rated_turns,
    own_audit,own_audit_append,own_queries_keep,own_questions,own_charge,own_synonyms,own_synonyms_add,own_synonyms_remove,
    own_answer_claim,own_answer_keep,own_answer_release,
    next_arrival,own_document_id,own_document_find,own_document,own_documents,own_folder_documents,own_document_texts,own_same_documents,
    own_document_write,own_document_chunks,own_document_chunks_write,own_document_keep,own_document_delete,
    own_passages,own_passages_around,own_content_exists,own_texts_write,own_chunks_delete,
    own_add_job,own_open_jobs,own_job,own_jobs,own_open_job,own_take_job,own_renew_job,own_end_job,own_release_job,own_cancel_job,own_retry_job,
    own_begin_original,own_put_parts,own_settle_original,own_part,own_original,
    own_sources
    }'::text[])
$$;

-- What a worker may run beside: all that fills and keeps up the index. What ends something, and what changes the model or the
-- isolation itself, is the owner's alone, and so is every function that is not listed.
CREATE OR REPLACE FUNCTION ateneo.is_worker_function(name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT name ~ '^source_\d+_(rows|live|keys)$' OR name = ANY ('{
    claim,lease_texts,lease_suspects,suspects_wait,park_killers,queue_missing,store_embeddings,still_there,
    create_generation,retire_empty,generation_status,generation_bytes,missing_texts,refill_page,settled,sample_chunks,undropped_generations,
    own_indexes,company_vectors,index_plan,indexes_outgrown,indexes_set_aside,note_build,knn_index,keep_ef_search,recall_of,sample_vectors,
    index_status,index_parts,index_faults,stale_statistics,refresh_stats,refresh_stats_if_stale,
    rebuild_rows,rebuild_page,settle_lengths,reconcile_page,remove_orphans,compare_source,signed_tenant,
    claim_job,settle_dead_jobs,forget_jobs
    }'::text[])
$$;
DROP FUNCTION IF EXISTS ateneo.is_owners_alone(text);

-- The owner of the chunks table, where that is another role than the schema's: PostgreSQL asks whoever makes a partition whether
-- they may execute the row triggers that it inherits. They write what an insert of theirs would.
CREATE OR REPLACE FUNCTION ateneo.is_row_trigger(function oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM pg_trigger t WHERE t.tgfoid = function AND t.tgtype & 1 = 1 AND t.tgrelid = to_regclass('public.knowledge_chunks'))
$$;

-- What the roles should be allowed, table by table and function by function; PUBLIC stands for everybody else.
CREATE OR REPLACE FUNCTION ateneo.wanted_rights() RETURNS TABLE (kind text, object text, acl aclitem[], grantee oid, role text, rights text[])
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH role (oid, name) AS (
    VALUES (0::oid, 'PUBLIC'), (to_regrole('ateneo_app')::oid, 'ateneo_app'), (to_regrole('ateneo_worker')::oid, 'ateneo_worker')),
  relation AS (
    SELECT c.oid::regclass::text AS name, coalesce(c.relacl, acldefault('r', c.relowner)) AS acl, coalesce(t.record, false) AS record
    FROM pg_class c LEFT JOIN ateneo.tenant_tables() t ON t.id = c.oid
    WHERE c.relkind IN ('r', 'p') AND (c.relnamespace = 'ateneo'::regnamespace OR t.record))
  SELECT 'TABLE', r.name, r.acl, x.oid, x.name, CASE
      WHEN x.name = 'PUBLIC' OR r.name = 'ateneo.tenant_secret' THEN '{}'::text[]
      WHEN r.name IN ('ateneo.applied', 'ateneo.schema_version', 'ateneo.function_file') THEN '{SELECT}'
      WHEN x.name = 'ateneo_app' THEN CASE WHEN r.name = 'ateneo.generation' THEN '{SELECT}'::text[] ELSE '{}' END
      WHEN r.name IN ('ateneo.audit', 'ateneo.api_key', 'ateneo.erased') THEN '{}'
      ELSE '{SELECT,INSERT,UPDATE,DELETE}' END
  FROM relation r, role x WHERE NOT (r.record AND x.name = 'PUBLIC')
  UNION ALL
  SELECT 'FUNCTION', p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner)), x.oid, x.name, CASE
      WHEN x.name = 'PUBLIC' THEN '{}'::text[]
      WHEN ateneo.is_application_door(p.proname) THEN '{EXECUTE}'
      WHEN x.name = 'ateneo_worker' AND ateneo.is_worker_function(p.proname) THEN '{EXECUTE}' ELSE '{}' END
  FROM pg_proc p, role x WHERE p.pronamespace = 'ateneo'::regnamespace AND p.prosecdef
  UNION ALL
  SELECT 'FUNCTION', p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner)), c.relowner, c.relowner::regrole::text, '{EXECUTE}'
  FROM pg_proc p JOIN pg_class c ON c.oid = to_regclass('public.knowledge_chunks') AND c.relowner <> p.proowner
  WHERE p.pronamespace = 'ateneo'::regnamespace AND p.prosecdef AND ateneo.is_row_trigger(p.oid)
  UNION ALL
  SELECT 'SCHEMA', quote_ident(n.nspname), coalesce(n.nspacl, acldefault('n', n.nspowner)), x.oid, x.name, '{USAGE}'
  FROM pg_namespace n, role x WHERE n.nspname = 'ateneo' AND x.name <> 'PUBLIC'
$$;

-- What differs from what should be, each with the statement that mends it: owners, row-level security, policies, rights,
-- statistics, figures. Read from the catalogs alone, so that a restored database, or one that somebody changed, is told from a whole
-- one without a lock. Where the roles are missing, owners, figures and what everybody may execute: nothing else of this applies then.
CREATE OR REPLACE FUNCTION ateneo.deviations() RETURNS TABLE (kind text, object text, statement text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE owner oid := (SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'ateneo');
BEGIN
  RETURN QUERY
    SELECT 'owner', c.oid::regclass::text, format('ALTER TABLE %s OWNER TO %I', c.oid::regclass, owner::regrole::text)
    FROM pg_class c WHERE c.relnamespace = 'ateneo'::regnamespace AND c.relkind IN ('r', 'p') AND c.relowner <> owner
    UNION ALL
    SELECT 'owner', p.oid::regprocedure::text, format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, owner::regrole::text)
    FROM pg_proc p WHERE p.pronamespace = 'ateneo'::regnamespace AND p.proowner <> owner;
  -- Another server's transactions, in a database restored from a dump: a graph was built then, at the earliest.
  IF has_table_privilege('ateneo.own_index', 'SELECT') THEN
    RETURN QUERY SELECT 'figures', 'ateneo.own_index', 'UPDATE ateneo.own_index SET built_xid = pg_snapshot_xmax(pg_current_snapshot()) '
        'WHERE built_xid > pg_snapshot_xmax(pg_current_snapshot())'
      WHERE EXISTS (SELECT FROM ateneo.own_index o WHERE o.built_xid > pg_snapshot_xmax(pg_current_snapshot()));
  END IF;
  IF to_regrole('ateneo_app') IS NULL OR to_regrole('ateneo_worker') IS NULL THEN
    RETURN QUERY SELECT 'right', w.object, format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', w.object) FROM ateneo.wanted_rights() w
      WHERE w.kind = 'FUNCTION' AND w.role = 'PUBLIC' AND EXISTS (SELECT FROM aclexplode(w.acl) a WHERE a.grantee = 0);
    RETURN;
  END IF;
  RETURN QUERY SELECT 'policy', t.name, format('DROP POLICY IF EXISTS ateneo_tenant ON %1$s; '
      -- binds the application to its company whatever it is granted, and other policies allow
      'CREATE POLICY ateneo_tenant ON %1$s AS RESTRICTIVE TO ateneo_app '
      'USING (empresa_id = (SELECT ateneo.tenant())) WITH CHECK (empresa_id = (SELECT ateneo.writing_tenant()))', t.name)
    FROM ateneo.tenant_tables() t WHERE NOT ateneo.has_tenant_policy(t.id);
  -- The chunks table is the user's: other roles see what they saw. `true` is folded away, so that their plans stay, too;
  -- where the user has policies of their own already, theirs go on to decide for their roles.
  RETURN QUERY SELECT 'policy', t.name, format('CREATE POLICY ateneo_open ON %s TO %s USING (true) WITH CHECK (true)', t.name,
      CASE WHEN t.record AND NOT c.relrowsecurity THEN 'PUBLIC' ELSE 'ateneo_app, ateneo_worker' END)
    FROM ateneo.tenant_tables() t JOIN pg_class c ON c.oid = t.id
    WHERE NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = t.id AND p.polname = 'ateneo_open');
  RETURN QUERY SELECT 'row-level security', t.name, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.name)
    FROM ateneo.tenant_tables() t JOIN pg_class c ON c.oid = t.id WHERE NOT c.relrowsecurity;
  RETURN QUERY SELECT 'right', w.object, format('GRANT %s ON %s %s TO %s', array_to_string(x.missing, ', '), w.kind, w.object, w.role)
    FROM ateneo.wanted_rights() w, LATERAL (SELECT array_agg(r) AS missing FROM unnest(w.rights) r
      WHERE r NOT IN (SELECT a.privilege_type FROM aclexplode(w.acl) a WHERE a.grantee = w.grantee)) x WHERE x.missing IS NOT NULL;
  -- what they may beyond that; on the chunks table that is the user's to say, but for the application
  RETURN QUERY SELECT 'right', w.object, format('REVOKE %s ON %s %s FROM %s', array_to_string(x.excess, ', '), w.kind, w.object, w.role)
    FROM ateneo.wanted_rights() w, LATERAL (SELECT array_agg(a.privilege_type) AS excess FROM aclexplode(w.acl) a
      WHERE a.grantee = w.grantee AND a.privilege_type <> ALL (w.rights)) x
    WHERE x.excess IS NOT NULL AND (w.object LIKE 'ateneo.%' OR w.role = 'ateneo_app');
  RETURN QUERY SELECT 'right', '@vector@', 'GRANT USAGE ON SCHEMA @vector@ TO ateneo_app, ateneo_worker'
    WHERE NOT (has_schema_privilege('ateneo_app', '@vector@', 'USAGE') AND has_schema_privilege('ateneo_worker', '@vector@', 'USAGE'));
  -- The planner's estimates are made of other companies' rows, too, and EXPLAIN shows them: prefix by prefix they would spell
  -- the values that ANALYZE keeps. So it keeps none of texts (ids and counts stay, which plans need). An adopted chunks table is its
  -- owner's to decide about; docs/security.md says how.
  RETURN QUERY SELECT 'statistics', t.name || '.' || a.attname, format('ALTER TABLE %s ALTER %I SET STATISTICS 0', t.name, a.attname)
    FROM ateneo.tenant_tables() t JOIN pg_attribute a ON a.attrelid = t.id
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname !~ '(^|_)id$' AND a.attstattarget IS DISTINCT FROM 0
      AND a.atttypid IN ('text'::regtype, 'text[]'::regtype, 'jsonb'::regtype) AND NOT ateneo.is_hidden(t.name)
      AND (NOT t.record OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.id AND i.indisprimary AND i.indnkeyatts = 2));
END $$;

-- What a new generation's tables take; never the user's own, whose locks are for an upgrade.
CREATE OR REPLACE FUNCTION ateneo.protect_tables() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE wanted text;
BEGIN
  FOR wanted IN SELECT d.statement FROM ateneo.deviations() d WHERE d.object LIKE 'ateneo.%' AND d.kind <> 'owner' LOOP
    EXECUTE wanted;
  END LOOP;
END $$;

-- Makes the roles and mends what differs. Returns what this role may not do, as SQL for whoever may.
CREATE OR REPLACE FUNCTION ateneo.protect() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE d record;
BEGIN
  IF NOT pg_has_role((SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'ateneo'), 'USAGE') THEN
    RAISE EXCEPTION 'ateneo: that is for the owner of the schema' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN QUERY SELECT ateneo.make_roles();
  FOR d IN SELECT * FROM ateneo.deviations() LOOP
    BEGIN
      EXECUTE d.statement;
    EXCEPTION WHEN insufficient_privilege THEN
      IF d.kind <> 'owner' THEN RAISE; END IF;   -- an administrator's, and told by `ateneo doctor`; all works meanwhile
    END;
  END LOOP;
END $$;

DROP FUNCTION IF EXISTS ateneo.isolated();
DROP FUNCTION IF EXISTS ateneo.keep_no_texts();
