-- Tables of the product's as sources (docs/adr/0047-tables-as-sources.md). `mapping`: what is what in the table: key, tenant, text, title ...
CREATE TABLE ateneo.source (
  source_id  int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name       text NOT NULL UNIQUE,
  relation   text NOT NULL,                      -- with its schema, quoted where that is needed
  follow     text NOT NULL CHECK (follow IN ('triggers', 'poll')),
  mapping    jsonb NOT NULL,
  poll_from  text,                               -- the cursor's greatest value when it was last polled
  polled_at  timestamptz,
  checked_at timestamptz,                        -- when all of its rows were last compared
  error      text,
  created_at timestamptz NOT NULL DEFAULT now());

-- What the triggers write, and the worker empties: a row's key, or none for the whole source. `withdrawn`: no search gives it out.
CREATE TABLE ateneo.source_change (
  source_id int NOT NULL,
  change_id bigint GENERATED ALWAYS AS IDENTITY,
  key       text[],
  withdrawn boolean NOT NULL DEFAULT false,
  PRIMARY KEY (source_id, change_id))
  WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_threshold = 100000);
CREATE INDEX source_change_withdrawn ON ateneo.source_change (source_id) WHERE withdrawn;

-- A row that is stored. Its chunks are `row_id`-000, -001 ... in the chunks table.
CREATE TABLE ateneo.source_row (
  source_id   int NOT NULL,
  key         text[] NOT NULL,
  empresa_id  text NOT NULL,
  row_id      text NOT NULL UNIQUE,
  document_id text NOT NULL,
  chunks      int NOT NULL,
  fingerprint text NOT NULL,                     -- of all that was read of it
  url         text,
  PRIMARY KEY (source_id, key));
CREATE INDEX source_row_document ON ateneo.source_row (empresa_id, document_id);
