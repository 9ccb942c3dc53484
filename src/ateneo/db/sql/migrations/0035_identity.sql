-- Who a document is (docs/adr/0038-identity.md): its document_id, else (origin, external_id). Two documents may have one name.
--   folder:           origin = the source's name, external_id = the path below the folder
--   external_id given: origin = '', external_id = the caller's
--   upload:           neither, and it is a document of its own
-- What an earlier version stored was known by its name: external_id = that name and no origin, until a folder that has a
-- file of that name takes it over. Ids that the caller chose are identity enough: those that are no UUIDs, as the earlier
-- version made, and all of them where document_id references a table of the user's.
ALTER TABLE ateneo.document
  ADD COLUMN origin         text,
  ADD COLUMN external_id    text,
  ADD COLUMN folder         text,                      -- where the source's folder stood when it was last read
  ADD COLUMN given_title    text,                      -- as it was sent last; NULL: the title is the file's own
  ADD COLUMN given_metadata jsonb,                     -- as it was sent last
  ADD COLUMN file_metadata  jsonb,                     -- the file's own: metadata = file_metadata || given_metadata
  ADD COLUMN own_chunks     int,                       -- how many chunks it was stored with; NULL: not known
  ADD COLUMN arrival        bigint NOT NULL DEFAULT 0; -- of the upload that it is as of: an older one never replaces it
-- by name it may be an id's column, for which statistics are kept; these are texts (functions/120_protect.sql)
ALTER TABLE ateneo.document ALTER external_id SET STATISTICS 0;
ALTER TABLE ateneo.document DROP CONSTRAINT IF EXISTS document_empresa_id_source_key;
CREATE UNIQUE INDEX document_identity ON ateneo.document (empresa_id, origin, external_id);
CREATE INDEX document_source ON ateneo.document (empresa_id, source, document_id);
UPDATE ateneo.document SET external_id = source
  WHERE document_id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'
    AND NOT EXISTS (SELECT FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
      WHERE c.conrelid = 'public.knowledge_chunks'::regclass AND c.contype = 'f' AND a.attname = 'document_id');

CREATE SEQUENCE ateneo.arrival AS bigint;
