-- The company's documents. What an upload asks before it is read: its number in the order of arrivals, and whether the id that it
-- names may be its.

-- whoever comes to own the table (a restore) owns its sequence, too
ALTER SEQUENCE ateneo.arrival OWNED BY ateneo.document.arrival;

CREATE OR REPLACE FUNCTION ateneo.next_arrival() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT nextval('ateneo.arrival'::regclass)
$$;

-- The id as the chunks table writes it (an adopted one may keep it as uuid or number). Where document_id references a table of
-- the user's that has an empresa_id, that row must be the company's own: the answer for another's row is, to the letter, the
-- one for a row that does not exist. Where the table does not tell whose a row is (or may not be read), a row under which
-- another company has chunks is taken for that one's.
CREATE OR REPLACE FUNCTION ateneo.own_document_id(p_document text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(); r record; asked text; own boolean;
BEGIN
  SELECT format_type(a.atttypid, NULL) AS kind, a.atttypid = 'varchar'::regtype AND a.atttypmod > 4 AS bounded, a.atttypmod - 4 AS longest
    INTO r FROM pg_attribute a WHERE a.attrelid = 'public.knowledge_chunks'::regclass AND a.attname = 'document_id';
  EXECUTE format('SELECT ($1::%s)::text', r.kind) INTO asked USING p_document;
  IF r.bounded AND char_length(asked) > r.longest THEN
    RAISE EXCEPTION 'ateneo: document_id takes % characters', r.longest USING ERRCODE = 'string_data_right_truncation';
  END IF;
  FOR r IN
    SELECT c.conname AS name, c.confrelid AS theirs, k.attname AS key, format_type(k.atttypid, NULL) AS kind,
      EXISTS (SELECT FROM pg_attribute e WHERE e.attrelid = c.confrelid AND e.attname = 'empresa_id' AND NOT e.attisdropped)
        AND has_table_privilege(c.confrelid, 'SELECT') AND NOT row_security_active(c.confrelid) AS tells
    FROM pg_constraint c
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] AND a.attname = 'document_id'
    JOIN pg_attribute k ON k.attrelid = c.confrelid AND k.attnum = c.confkey[1]
    WHERE c.conrelid = 'public.knowledge_chunks'::regclass AND c.contype = 'f' AND cardinality(c.conkey) = 1
  LOOP
    IF r.tells THEN
      EXECUTE format('SELECT EXISTS (SELECT FROM %s t WHERE t.%I = $1::%s AND t.empresa_id::text = $2)', r.theirs::regclass, r.key, r.kind)
        INTO own USING asked, tenant;
    ELSE
      own := NOT EXISTS (SELECT FROM public.knowledge_chunks k WHERE k.document_id::text = asked AND k.empresa_id <> tenant);
    END IF;
    IF NOT own THEN
      RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation', MESSAGE =
        format('insert or update on table "knowledge_chunks" violates foreign key constraint "%s"', r.name);
    END IF;
  END LOOP;
  RETURN asked;
END $$;

-- --- reading ---

-- The documents that an upload may be, each with how many chunks the chunks table has under its id (other programs write there, too),
-- and how many of them are Ateneo's own, which have a row in chunk_meta. By id, else by origin and external_id, else by name.
-- EXECUTE: the rows are locked under the condition that they were found by.
CREATE OR REPLACE FUNCTION ateneo.own_document_find(p_empresa text, p_document text, p_origin text, p_external text, p_name text, p_lock boolean)
RETURNS TABLE (document ateneo.document, chunks bigint, found bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  RETURN QUERY EXECUTE format($q$
    SELECT d, (SELECT count(*) FROM public.knowledge_chunks k WHERE k.empresa_id = $1 AND k.document_id::text = d.document_id),
      (SELECT count(*) FROM public.knowledge_chunks k JOIN ateneo.chunk_meta m ON m.empresa_id = $1 AND m.chunk_id = k.id
        WHERE k.empresa_id = $1 AND k.document_id::text = d.document_id)
    FROM ateneo.document d WHERE d.empresa_id = $1 AND %s %s $q$,
    CASE WHEN p_document IS NOT NULL THEN 'd.document_id = $2'
      WHEN p_origin IS NOT NULL THEN 'd.external_id = $4 AND (d.origin = $3 OR d.origin IS NULL AND $3 <> '''') ORDER BY d.origin LIMIT 1'
      ELSE 'd.source = $5 ORDER BY d.document_id LIMIT 6' END,
    CASE WHEN p_lock THEN 'FOR UPDATE OF d' END)
    USING tenant, p_document, p_origin, p_external, p_name;
END $$;

-- The document of this id, or up to `p_limit` in the order of (source, document_id) after the one of p_source and p_after; those whose
-- rows were withdrawn are left out.
CREATE OR REPLACE FUNCTION ateneo.own_document(p_empresa text, p_document text) RETURNS TABLE (document ateneo.document, chunks bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa); gone text[] := ateneo.withdrawn_documents(tenant);
BEGIN
  RETURN QUERY SELECT d, (SELECT count(*) FROM public.knowledge_chunks k WHERE k.empresa_id = tenant AND k.document_id::text = d.document_id)
    FROM ateneo.document d WHERE d.empresa_id = tenant AND d.document_id = p_document AND d.document_id <> ALL (gone);
END $$;

CREATE OR REPLACE FUNCTION ateneo.own_documents(p_empresa text, p_source text, p_after text, p_limit int)
RETURNS TABLE (document ateneo.document, chunks bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa); gone text[] := ateneo.withdrawn_documents(tenant);
BEGIN
  RETURN QUERY SELECT d, (SELECT count(*) FROM public.knowledge_chunks k WHERE k.empresa_id = tenant AND k.document_id::text = d.document_id)
    FROM ateneo.document d WHERE d.empresa_id = tenant AND d.document_id <> ALL (gone)
      AND (d.source, d.document_id) > (coalesce(p_source, ''), coalesce(p_after, ''))
    ORDER BY d.source, d.document_id LIMIT p_limit;
END $$;

-- Those that were read from folders, the one read last at the end.
CREATE OR REPLACE FUNCTION ateneo.own_folder_documents(p_empresa text) RETURNS SETOF ateneo.document
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT d.* FROM ateneo.document d WHERE d.empresa_id = tenant AND d.folder IS NOT NULL AND d.origin <> ''
    ORDER BY d.arrival, d.document_id;
END $$;

-- The text of each, its chunks in order with a blank line between.
CREATE OR REPLACE FUNCTION ateneo.own_document_texts(p_empresa text) RETURNS TABLE (document_id text, contenido text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE tenant text := ateneo.tenant(p_empresa); gone text[] := ateneo.withdrawn_of(tenant);
BEGIN
  RETURN QUERY SELECT k.document_id::text, string_agg(k.contenido::text, E'\n\n' ORDER BY k.chunk_index, k.id)
    FROM public.knowledge_chunks k WHERE k.empresa_id = tenant AND k.document_id IS NOT NULL AND k.contenido IS NOT NULL AND k.id <> ALL (gone)
    GROUP BY 1 ORDER BY 1;
END $$;

-- Up to `p_most` other documents of the same name, and of the same bytes, the newest first.
CREATE OR REPLACE FUNCTION ateneo.own_same_documents(p_empresa text, p_document text, p_source text, p_hash bytea, p_most int,
  OUT same_name text[], OUT same_bytes text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  same_name := ARRAY(SELECT d.document_id FROM ateneo.document d WHERE d.empresa_id = tenant AND d.document_id <> p_document
    AND d.source = p_source ORDER BY d.created_at DESC, d.document_id LIMIT p_most);
  same_bytes := ARRAY(SELECT d.document_id FROM ateneo.document d WHERE d.empresa_id = tenant AND d.document_id <> p_document
    AND d.content_hash = p_hash ORDER BY d.created_at DESC, d.document_id LIMIT p_most);
END $$;

-- --- writing ---

-- Called within a statement that writes the chunks table: the user's row triggers find the names of the product's tables, as in its own
-- sessions. The statement is planned by then, so that no name of its own is looked up there; and whoever could make functions in
-- `public` as the application gets nothing. It ends with the function that the statement stands in, or with `ateneo.own_names()`.
CREATE OR REPLACE FUNCTION ateneo.users_names() RETURNS boolean LANGUAGE sql VOLATILE AS $$
  SELECT pg_catalog.set_config('search_path', CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) 'ateneo_app'
    AND pg_catalog.has_schema_privilege(r.oid, 'public', 'CREATE')) THEN 'pg_catalog, pg_temp' ELSE '"$user", public' END, true) IS NOT NULL
$$;

CREATE OR REPLACE FUNCTION ateneo.own_names() RETURNS void LANGUAGE sql VOLATILE AS
  $$ SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true) $$;

-- The chunks under this id that Ateneo stored: those with a row in chunk_meta. Other programs' stay.
CREATE OR REPLACE FUNCTION ateneo.remove_document_chunks(tenant text, p_document text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  WITH gone AS (DELETE FROM public.knowledge_chunks k USING ateneo.chunk_meta m WHERE k.empresa_id = tenant
    AND m.empresa_id = tenant AND m.chunk_id = k.id AND k.document_id::text = p_document AND (SELECT ateneo.users_names()) RETURNING k.id)
  DELETE FROM ateneo.chunk_meta m USING gone WHERE m.empresa_id = tenant AND m.chunk_id = gone.id
$$;

-- Stores the document, without the chunks that were stored of it before. What was sent with it (title, metadata) is kept where nothing
-- is sent now. Returns its id as the chunks table writes it.
CREATE OR REPLACE FUNCTION ateneo.own_document_write(p_empresa text, p_document jsonb) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa); n ateneo.document := jsonb_populate_record(NULL::ateneo.document, p_document);
BEGIN
  IF EXISTS (SELECT FROM ateneo.document d WHERE d.empresa_id = tenant AND d.document_id = n.document_id) THEN
    PERFORM ateneo.remove_document_chunks(tenant, n.document_id);
  ELSE
    n.document_id := ateneo.own_document_id(n.document_id);
  END IF;
  INSERT INTO ateneo.document AS d (empresa_id, document_id, title, source, mime, content_hash, bytes, pages, file_metadata, given_metadata,
      metadata, given_title, origin, external_id, folder, arrival, own_chunks)
    VALUES (tenant, n.document_id, n.title, n.source, n.mime, n.content_hash, n.bytes, n.pages, n.file_metadata, n.given_metadata,
      (n.file_metadata - '$reading') || coalesce(n.given_metadata, '{}'), n.given_title, n.origin, n.external_id, n.folder, n.arrival, n.own_chunks)
    ON CONFLICT (empresa_id, document_id) DO UPDATE SET title = excluded.title, source = excluded.source, mime = excluded.mime,
      content_hash = excluded.content_hash, bytes = excluded.bytes, pages = excluded.pages, file_metadata = excluded.file_metadata,
      given_metadata = coalesce(excluded.given_metadata, d.given_metadata),
      metadata = (excluded.file_metadata - '$reading') || coalesce(excluded.given_metadata, d.given_metadata, '{}'),
      given_title = coalesce(excluded.given_title, d.given_title), origin = coalesce(excluded.origin, d.origin),
      external_id = coalesce(excluded.external_id, d.external_id), folder = coalesce(excluded.folder, d.folder),
      arrival = excluded.arrival, own_chunks = excluded.own_chunks, updated_at = now();
  RETURN n.document_id;
END $$;

-- Chunks of a document of the company's. An adopted table may keep document_id as uuid or number: its own input function reads the text.
-- Arrays of arrays must be rectangular: headings are JSON.
CREATE OR REPLACE FUNCTION ateneo.own_document_chunks_write(p_empresa text, p_document text, ids text[], places int[], textos text[], tokens int[],
  pages int[], headings jsonb[], metadata jsonb[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa); written public.knowledge_chunks;
BEGIN
  IF NOT EXISTS (SELECT FROM ateneo.document d WHERE d.empresa_id = tenant AND d.document_id = p_document) THEN
    RAISE EXCEPTION 'ateneo: no such document' USING ERRCODE = 'foreign_key_violation', SCHEMA = 'ateneo';
  END IF;
  written := jsonb_populate_record(NULL::public.knowledge_chunks, jsonb_build_object('document_id', p_document));
  INSERT INTO public.knowledge_chunks (id, document_id, empresa_id, chunk_index, contenido, tokens_count)
    SELECT t.id, written.document_id, tenant, t.place, t.contenido, t.tokens FROM unnest(ids, places, textos, tokens) t(id, place, contenido, tokens)
    WHERE (SELECT ateneo.users_names());
  PERFORM ateneo.own_names();
  INSERT INTO ateneo.chunk_meta (empresa_id, chunk_id, page, headings, metadata)
    SELECT tenant, t.id, t.page, ARRAY(SELECT jsonb_array_elements_text(t.headings)), t.metadata
    FROM unnest(ids, pages, headings, metadata) t(id, page, headings, metadata);
END $$;

-- What was sent with bytes that are there already; NULL: nothing, and what is there stays.
CREATE OR REPLACE FUNCTION ateneo.own_document_keep(p_empresa text, p_document text, p_arrival bigint, p_title text, p_given jsonb, p_origin text,
  p_external text, p_folder text, p_changed boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  UPDATE ateneo.document d SET arrival = p_arrival, title = coalesce(p_title, d.title), given_title = coalesce(p_title, d.given_title),
      given_metadata = coalesce(p_given, d.given_metadata),
      metadata = CASE WHEN p_given IS NULL THEN d.metadata ELSE (d.file_metadata - '$reading') || p_given END,
      origin = coalesce(p_origin, d.origin), external_id = coalesce(p_external, d.external_id), folder = coalesce(p_folder, d.folder),
      updated_at = CASE WHEN p_changed THEN now() ELSE d.updated_at END
    WHERE d.empresa_id = tenant AND d.document_id = p_document;
END $$;

-- Returns whether there was one.
CREATE OR REPLACE FUNCTION ateneo.own_document_delete(p_empresa text, p_document text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  DELETE FROM ateneo.document d WHERE d.empresa_id = tenant AND d.document_id = p_document;
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM ateneo.remove_document_chunks(tenant, p_document);
  RETURN true;
END $$;
