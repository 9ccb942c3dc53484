-- Tables of the product's as sources (docs/adr/0047-tables-as-sources.md): what a source's functions and triggers are made of, and
-- what of a source is withdrawn. The condition of a mapping is the operator's SQL; all names are quoted by format().

-- SQL for a key's column of a row `r`, as text that no setting of a session changes.
CREATE OR REPLACE FUNCTION ateneo.key_text(p_relation regclass, name text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE kind regtype; category "char"; stamp CONSTANT text := 'YYYY-MM-DD"T"HH24:MI:SS.US';
BEGIN
  SELECT coalesce(nullif(t.typbasetype, 0), t.oid) INTO kind FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = p_relation AND a.attname = name AND a.attnum > 0 AND NOT a.attisdropped;
  SELECT t.typcategory INTO category FROM pg_type t WHERE t.oid = kind;
  IF kind = 'timestamptz'::regtype THEN RETURN format('to_char(r.%I AT TIME ZONE ''UTC'', %L)', name, stamp || 'Z'); END IF;
  IF kind = 'timestamp'::regtype THEN RETURN format('to_char(r.%I, %L)', name, stamp); END IF;
  IF kind = 'date'::regtype THEN RETURN format('to_char(r.%I, ''YYYY-MM-DD'')', name); END IF;
  IF category IN ('S', 'E') OR kind IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'uuid'::regtype) THEN
    RETURN format('r.%I::text', name);
  END IF;
  RAISE EXCEPTION 'ateneo: % is %, which cannot be a key here', name, coalesce(kind::text, 'no column') USING ERRCODE = 'AT005';
END $$;

-- The keys of a JSON object, those aside that a library keeps for itself (`_node_content`).
CREATE OR REPLACE FUNCTION ateneo.json_facts(j jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}') FROM jsonb_each(CASE WHEN jsonb_typeof(j) = 'object' THEN j ELSE '{}' END) e WHERE e.key NOT LIKE '\_%'
$$;

-- SQL for a field of a mapping on a row `r`, as text or as jsonb: a column, one of its parent's row (`parent.title`), or what stands in
-- such a column as JSON (`metadata->>author->>name`).
CREATE OR REPLACE FUNCTION ateneo.source_field(m jsonb, p_relation regclass, name text, as_json boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE base text := format('r.%I', name); path text[] := '{}';
BEGIN
  IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = p_relation AND a.attname = name AND a.attnum > 0 AND NOT a.attisdropped) THEN
    path := string_to_array(replace(name, '->>', '->'), '->');
    base := format('r.%I', coalesce(path[1], name));
    IF path[1] LIKE 'parent.%' AND jsonb_typeof(m -> 'parent') = 'object' THEN
      SELECT format('(SELECT p.%I FROM %s p WHERE %s)', substr(path[1], 8), (m #>> '{parent,relation}')::regclass,
          string_agg(format('p.%I = r.%I', k.value, k.key), ' AND '))
        INTO base FROM jsonb_each_text(m #> '{parent,key}') k;
    END IF;
    path := path[2:];
  END IF;
  IF path = '{*}' THEN RETURN format('ateneo.json_facts(to_jsonb(%s))', base); END IF;
  IF path = '{}' THEN RETURN format(CASE WHEN as_json THEN 'to_jsonb(%s)' ELSE '%s::text' END, base); END IF;
  RETURN format(CASE WHEN as_json THEN '(to_jsonb(%s) #> %L::text[])' ELSE '(to_jsonb(%s) #>> %L::text[])' END, base, path);
END $$;

-- The pieces of SQL that a source's functions are put together from, each on a row `r` of the table: `key`; `joined`: it has the key
-- `k.ateneo_v` (jsonb); `shown`: the condition; `columns`: all that is read of it; `since`: it changed after $1, for polling.
CREATE OR REPLACE FUNCTION ateneo.source_pieces(m jsonb, p_relation regclass, OUT key text, OUT joined text, OUT shown text,
  OUT tenant text, OUT columns text, OUT cursor text, OUT since text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE body text; facts text; links text;
BEGIN
  SELECT 'ARRAY[' || string_agg(ateneo.key_text(p_relation, k.c), ', ' ORDER BY k.n) || ']',
      string_agg(format('r.%I = (k.ateneo_v ->> %s)::%s', k.c, k.n - 1, format_type(a.atttypid, NULL)), ' AND ' ORDER BY k.n)
    INTO key, joined FROM jsonb_array_elements_text(m -> 'key') WITH ORDINALITY k(c, n)
    JOIN pg_attribute a ON a.attrelid = p_relation AND a.attname = k.c;
  shown := coalesce('coalesce((' || (m ->> 'condition') || E'\n)::boolean, false)', 'true');
  tenant := CASE WHEN m ->> 'tenant' IS NULL THEN format('%L::text', m ->> 'empresa_id')
    ELSE format('nullif(btrim(%s), '''')', ateneo.source_field(m, p_relation, m ->> 'tenant')) END;
  SELECT string_agg(format('nullif(btrim(%s), '''')', ateneo.source_field(m, p_relation, t.c)), ', ' ORDER BY t.n)
    INTO body FROM jsonb_array_elements_text(m -> 'text') WITH ORDINALITY t(c, n);
  SELECT string_agg(CASE WHEN t.c LIKE '%->*' THEN ateneo.source_field(m, p_relation, t.c)
      ELSE format('jsonb_build_object(%L, %s)', regexp_replace(t.c, '^.*->>?|^parent\.', ''), ateneo.source_field(m, p_relation, t.c, true)) END, ' || ' ORDER BY t.n)
    INTO facts FROM jsonb_array_elements_text(m -> 'metadata') WITH ORDINALITY t(c, n);
  SELECT string_agg(format('jsonb_build_object(%L, %s)', t.c, ateneo.source_field(m, p_relation, t.c)), ' || ' ORDER BY t.n)
    INTO links FROM jsonb_array_elements_text(m -> 'url_columns') WITH ORDINALITY t(c, n);
  columns := format(E'%s AS key, %s AND octet_length((%s)::text) <= 1000 AND coalesce(octet_length(%s), 0) <= 500 AS shown, %s AS empresa_id, %s AS document, %s AS place,
    %s AS title, concat_ws(E''\\n\\n'', %s) AS body, %s AS metadata, %s AS url, %s AS vector', key, shown, key, tenant, tenant,
    coalesce(ateneo.source_field(m, p_relation, m ->> 'document'), 'NULL::text'),
    coalesce('least(greatest(' || ateneo.source_field(m, p_relation, m ->> 'position') || '::numeric, 0), 2000000000)::int', '0'),
    coalesce(ateneo.source_field(m, p_relation, m ->> 'title'), 'NULL::text'), body, coalesce(facts, '''{}''::jsonb'), coalesce(links, '''{}''::jsonb'),
    CASE WHEN m ->> 'vector' IS NULL THEN 'NULL::float8[]' ELSE (SELECT format(CASE WHEN t.typcategory = 'A' THEN 'r.%I' ELSE 'r.%I::real[]' END, a.attname)
      FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = p_relation AND a.attname = m ->> 'vector') END);
  SELECT format('r.%I::text', a.attname), format(CASE t.typcategory WHEN 'D' THEN 'r.%I >= $1::%s - interval ''5 minutes''' ELSE 'r.%I >= $1::%s' END,
      a.attname, format_type(a.atttypid, NULL))
    INTO cursor, since FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = p_relation AND a.attname = m ->> 'cursor';
END $$;

-- A source's functions: `source_<id>_rows(keys)`, the rows of these keys as they are now; `source_<id>_live(since)`, key and company of
-- all rows, or of those that changed since a cursor, with the fingerprint of those that meet the condition; `source_<id>_keys()`, all keys, whatever
-- the condition does; `source_<id>_changed()`, the trigger's.
CREATE OR REPLACE FUNCTION ateneo.make_source(p_source int) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE s ateneo.source; p record; read text; settings CONSTANT text :=
  E'LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = ''UTC'' SET datestyle = ''ISO'' SET extra_float_digits = 1';
BEGIN
  SELECT * INTO s FROM ateneo.source x WHERE x.source_id = p_source;
  SELECT * INTO p FROM ateneo.source_pieces(s.mapping, s.relation::regclass);
  read := 'md5(jsonb_build_array(x.empresa_id, x.document, x.place, x.title, x.body, x.metadata, x.url)::text)'
    -- of the text and of the vector, too: which of them changed tells whether the vector is of the text
    || CASE WHEN s.mapping ->> 'vector' IS NULL THEN '' ELSE ' || ''/'' || md5(x.body) || ''/'' || coalesce(md5(array_send(x.vector)), '''')' END;
  -- dropped, since another version's may give other columns
  EXECUTE format('DROP FUNCTION IF EXISTS ateneo.source_%1$s_rows(jsonb), ateneo.source_%1$s_live(text), ateneo.source_%1$s_keys()', p_source);
  EXECUTE format('CREATE OR REPLACE FUNCTION ateneo.source_%s_rows(jsonb) RETURNS TABLE (key text[], shown boolean, empresa_id text, '
    'document text, place int, title text, body text, metadata jsonb, url jsonb, vector float8[], fingerprint text) %s AS %L', p_source, settings,
    format('SELECT x.key, x.shown, x.empresa_id, x.document, x.place, x.title, x.body, x.metadata, x.url, x.vector::float8[], %s '
      'FROM (SELECT %s FROM jsonb_array_elements($1) k(ateneo_v) JOIN %s r ON %s) x', read, p.columns, s.relation, p.joined));
  EXECUTE format('CREATE OR REPLACE FUNCTION ateneo.source_%s_live(text) RETURNS TABLE (key text[], shown boolean, empresa_id text, '
    'characters int, dims int, fingerprint text, seen text) %s AS %L', p_source, settings,
    format('SELECT x.key, x.shown, x.empresa_id, CASE WHEN x.shown THEN length(x.body) END, CASE WHEN x.shown THEN cardinality(x.vector) END, CASE WHEN x.shown THEN %s END, x.seen '
      'FROM (SELECT %s, %s AS seen FROM %s r WHERE $1 IS NULL OR %s) x', read, p.columns, coalesce(p.cursor, 'NULL::text'), s.relation, coalesce(p.since, 'true')));
  EXECUTE format('CREATE OR REPLACE FUNCTION ateneo.source_%s_keys() RETURNS TABLE (key text[]) %s AS %L', p_source, settings,
    format('SELECT %s FROM %s r', p.key, s.relation));
  EXECUTE format('CREATE OR REPLACE FUNCTION ateneo.source_%s_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER '
    'SET search_path = pg_catalog, pg_temp AS %L', p_source, replace(replace(replace(replace(ateneo.source_trigger_body(),
      '@id@', p_source::text), '@key@', p.key), '@tenant@', p.tenant), '@shown@', p.shown));
  EXECUTE format('REVOKE ALL ON FUNCTION ateneo.source_%1$s_rows(jsonb), ateneo.source_%1$s_live(text), ateneo.source_%1$s_keys(), ateneo.source_%1$s_changed() FROM PUBLIC', p_source);
  PERFORM ateneo.protect_tables();
END $$;

-- What the trigger does, once a statement. Of an UPDATE: the keys that meet the condition now, and as withdrawn those of the old rows
-- that are not among them, or are another company's now. Whatever fails withdraws all keys of the statement, or the whole source; the product's write goes on.
CREATE OR REPLACE FUNCTION ateneo.source_trigger_body() RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$ SELECT $$
#variable_conflict use_column
BEGIN
  BEGIN
    IF TG_OP = 'INSERT' THEN
      INSERT INTO ateneo.source_change (source_id, key) SELECT @id@, @key@ FROM new_rows r;
    ELSIF TG_OP = 'UPDATE' THEN
      INSERT INTO ateneo.source_change (source_id, key, withdrawn)
        WITH kept AS MATERIALIZED (SELECT @key@ AS key, @tenant@ AS tenant FROM new_rows r WHERE @shown@)
        SELECT @id@, kept.key, false FROM kept
        UNION ALL SELECT @id@, gone.key, true FROM (SELECT @key@, @tenant@ FROM old_rows r EXCEPT SELECT kept.key, kept.tenant FROM kept) gone(key, tenant);
    ELSIF TG_OP = 'DELETE' THEN
      INSERT INTO ateneo.source_change (source_id, key, withdrawn) SELECT @id@, @key@, true FROM old_rows r;
    ELSE
      INSERT INTO ateneo.source_change (source_id, withdrawn) VALUES (@id@, true);
    END IF;
  EXCEPTION WHEN OTHERS THEN
    BEGIN
      IF TG_OP = 'UPDATE' THEN
        INSERT INTO ateneo.source_change (source_id, key, withdrawn)
          SELECT @id@, @key@, true FROM old_rows r UNION ALL SELECT @id@, @key@, true FROM new_rows r;
      ELSE
        INSERT INTO ateneo.source_change (source_id, withdrawn) VALUES (@id@, true);
      END IF;
    EXCEPTION WHEN OTHERS THEN
      BEGIN
        INSERT INTO ateneo.source_change (source_id, withdrawn) VALUES (@id@, true);
      EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'ateneo: a change of % is not noted, run `ateneo sources check`: %', TG_RELID::regclass, SQLERRM;
      END;
    END;
  END;
  RETURN NULL;
END $$ $body$;

-- The tables that a source's triggers stand on: its own, and its partitions, which are written directly, too.
CREATE OR REPLACE FUNCTION ateneo.source_tables(p_relation regclass) RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT p_relation UNION SELECT t.relid FROM pg_partition_tree(p_relation) t JOIN pg_class c ON c.oid = t.relid WHERE c.relkind IN ('r', 'p')
$$;

-- Makes the triggers that are not there, or stand switched off. Returns how many.
CREATE OR REPLACE FUNCTION ateneo.follow_source(p_source int) RETURNS int
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE t regclass; event text; made int := 0; relation regclass := (SELECT s.relation::regclass FROM ateneo.source s WHERE s.source_id = p_source);
  what CONSTANT jsonb := '{"insert": "REFERENCING NEW TABLE AS new_rows", "update": "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "REFERENCING OLD TABLE AS old_rows", "truncate": ""}';
BEGIN
  FOR t IN SELECT * FROM ateneo.source_tables(relation) LOOP
    FOR event IN SELECT jsonb_object_keys(what) LOOP
      IF NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = t AND g.tgname = format('ateneo_source_%s_%s', p_source, event) AND g.tgenabled IN ('O', 'A')) THEN
        EXECUTE format('CREATE OR REPLACE TRIGGER ateneo_source_%1$s_%2$s AFTER %2$s ON %3$s %4$s FOR EACH STATEMENT EXECUTE FUNCTION ateneo.source_%1$s_changed()',
          p_source, event, t, what ->> event);
        EXECUTE format('ALTER TABLE %s ENABLE TRIGGER ateneo_source_%s_%s', t, p_source, event);
        made := made + 1;
      END IF;
    END LOOP;
  END LOOP;
  RETURN made;
END $$;

-- Takes a source's triggers and functions away.
CREATE OR REPLACE FUNCTION ateneo.unmake_source(p_source int) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE t record;
BEGIN
  FOR t IN SELECT g.tgname, g.tgrelid::regclass AS relation FROM pg_trigger g WHERE g.tgname ~ format('^ateneo_source_%s_', p_source) LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.relation);
  END LOOP;
  EXECUTE format('DROP FUNCTION IF EXISTS ateneo.source_%1$s_changed(), ateneo.source_%1$s_rows(jsonb), ateneo.source_%1$s_live(text), ateneo.source_%1$s_keys()', p_source);
END $$;

-- The ids of the chunks of a row.
CREATE OR REPLACE FUNCTION ateneo.row_chunks(row_id text, chunks int) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ARRAY(SELECT row_id || '-' || lpad(n::text, greatest(3, length(n::text)), '0') FROM generate_series(0, chunks - 1) n)
$$;

-- Writes the differences between the table and what is stored of it as changes: of all of it, or of what changed since a cursor.
-- Rows without a company are left out, and those of an erased one. Where the condition fails on a row, all keys are written, as withdrawn
-- if the whole source is: they are read one by one then. Returns how many differ, and the greatest cursor.
CREATE OR REPLACE FUNCTION ateneo.compare_source(p_source int, p_since text, OUT differ bigint, OUT seen text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE typed_cursor text := (SELECT coalesce('l.seen::' || format_type(a.atttypid, NULL), 'l.seen') FROM ateneo.source s
  LEFT JOIN pg_attribute a ON a.attrelid = s.relation::regclass AND a.attname = s.mapping ->> 'cursor' WHERE s.source_id = p_source);
BEGIN
  IF typed_cursor IS NULL THEN differ := 0; RETURN; END IF;   -- no such source
  IF p_since IS NULL THEN   -- what lost its chunks is stored again
    UPDATE ateneo.source_row r SET fingerprint = '' WHERE r.source_id = p_source AND r.chunks <>
      (SELECT count(*) FROM public.knowledge_chunks k WHERE k.empresa_id = r.empresa_id AND k.id = ANY (ateneo.row_chunks(r.row_id, r.chunks)));
  END IF;
  EXECUTE format($q$
    WITH there AS MATERIALIZED (SELECT l.* FROM ateneo.source_%1$s_live($2) l),
    live AS (SELECT l.* FROM there l WHERE l.shown AND l.empresa_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM ateneo.erased e WHERE e.empresa_id = l.empresa_id)),
    stored AS (SELECT r.* FROM ateneo.source_row r WHERE r.source_id = $1 AND ($2 IS NULL OR r.key IN (SELECT there.key FROM there))),
    put AS (INSERT INTO ateneo.source_change (source_id, key, withdrawn)
      SELECT $1, coalesce(live.key, stored.key), stored.key IS NOT NULL AND live.empresa_id IS DISTINCT FROM stored.empresa_id
      FROM live FULL JOIN stored ON stored.key = live.key WHERE live.fingerprint IS DISTINCT FROM stored.fingerprint RETURNING 1)
    SELECT (SELECT count(*) FROM put), (SELECT l.seen FROM there l ORDER BY %2$s DESC NULLS LAST LIMIT 1) $q$, p_source, typed_cursor)
    INTO differ, seen USING p_source, p_since;
EXCEPTION WHEN data_exception OR cardinality_violation OR plpgsql_error THEN
  EXECUTE format($q$
    WITH put AS (INSERT INTO ateneo.source_change (source_id, key, withdrawn)
      SELECT $1, coalesce(t.key, r.key), t.key IS NULL OR r.key IS NOT NULL AND EXISTS (
        SELECT FROM ateneo.source_change c WHERE c.source_id = $1 AND c.withdrawn AND c.key IS NULL)
      FROM ateneo.source_%s_keys() t FULL JOIN (SELECT * FROM ateneo.source_row x WHERE x.source_id = $1) r ON r.key = t.key RETURNING 1)
    SELECT count(*) FROM put $q$, p_source) INTO differ USING p_source;
END $$;

-- The chunks of rows that were withdrawn, and that no worker has taken away yet: nothing gives them out. Each row is looked up by
-- its key (OFFSET 0), and whole sources by a value, whatever the planner thinks of a queue that was empty when it was counted.
CREATE OR REPLACE FUNCTION ateneo.withdrawn_of(tenant text) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE gone text[]; whole int[];
BEGIN
  IF NOT EXISTS (SELECT FROM ateneo.source_change c WHERE c.withdrawn) THEN RETURN '{}'; END IF;
  gone := ARRAY(SELECT unnest(CASE WHEN r.chunks = 1 THEN ARRAY[r.row_id || '-000'] ELSE ateneo.row_chunks(r.row_id, r.chunks) END)
    FROM ateneo.source_change c, LATERAL (SELECT x.* FROM ateneo.source_row x WHERE x.source_id = c.source_id AND x.key = c.key OFFSET 0) r
    WHERE c.withdrawn AND r.empresa_id = tenant);
  whole := ARRAY(SELECT DISTINCT c.source_id FROM ateneo.source_change c WHERE c.withdrawn AND c.key IS NULL);
  IF whole <> '{}' THEN
    gone := gone || ARRAY(SELECT unnest(CASE WHEN r.chunks = 1 THEN ARRAY[r.row_id || '-000'] ELSE ateneo.row_chunks(r.row_id, r.chunks) END)
      FROM ateneo.source_row r WHERE r.empresa_id = tenant AND r.source_id = ANY (whole));
  END IF;
  RETURN gone;
END $$;

-- The documents of the tenant's of which nothing else is left.
CREATE OR REPLACE FUNCTION ateneo.withdrawn_documents(p_empresa text) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE rows text[];
BEGIN
  rows := ARRAY(SELECT DISTINCT left(g, 32) FROM unnest(ateneo.withdrawn_of(p_empresa)) g);
  IF rows = '{}' THEN RETURN '{}'; END IF;
  RETURN ARRAY(SELECT r.document_id FROM ateneo.source_row r WHERE r.row_id = ANY (rows) EXCEPT
    SELECT o.document_id FROM ateneo.source_row r JOIN ateneo.source_row o ON o.empresa_id = r.empresa_id AND o.document_id = r.document_id
    WHERE r.row_id = ANY (rows) AND o.row_id <> ALL (rows));
END $$;

DROP FUNCTION IF EXISTS ateneo.withdrawn_chunks(text);

-- The sources that the company has rows of, and how many.
CREATE OR REPLACE FUNCTION ateneo.own_sources() RETURNS TABLE (name text, rows bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT s.name, count(*) FROM ateneo.source_row r JOIN ateneo.source s USING (source_id)
  WHERE r.empresa_id = (SELECT ateneo.tenant()) GROUP BY s.name ORDER BY s.name
$$;

-- What `notes` of a hit says of the row that it stands in.
CREATE OR REPLACE FUNCTION ateneo.row_note(tenant text, p_chunk text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce((SELECT jsonb_build_object('row', jsonb_build_object('key', to_jsonb(r.key), 'url', r.url))
    FROM ateneo.source_row r WHERE r.row_id = left(p_chunk, 32) AND r.empresa_id = tenant), '{}')
$$;

-- What an earlier version made for the sources that there are is made anew. One whose table is gone, or changed, stays as it is.
DO $$
DECLARE s record;
BEGIN
  FOR s IN SELECT x.source_id FROM ateneo.source x WHERE to_regprocedure('ateneo.protect_tables()') IS NOT NULL LOOP
    BEGIN PERFORM ateneo.make_source(s.source_id);
    EXCEPTION WHEN OTHERS THEN RAISE WARNING 'ateneo: source % is not made anew: %', s.source_id, SQLERRM;
    END;
  END LOOP;
END $$;
