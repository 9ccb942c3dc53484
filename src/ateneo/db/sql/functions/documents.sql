-- What an upload asks before it is read: its number in the order of arrivals, and whether the id that it names may be its.

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
