-- What is derived from public.knowledge_chunks, and what is Ateneo's own. All of it can be dropped without
-- touching the record. @vector@ stands for the schema that pgvector was installed in.

-- One generation = one embedding model = one typed table ateneo.vec_g<number>.
CREATE TABLE ateneo.generation (
  generation smallint PRIMARY KEY CHECK (generation > 0),
  provider   text NOT NULL,
  model      text NOT NULL,
  dims       int NOT NULL CHECK (dims BETWEEN 1 AND 4000),
  legacy     boolean NOT NULL DEFAULT false,     -- knowledge_chunks.embedding holds vectors of this one
  active     boolean NOT NULL DEFAULT false,     -- what search takes when the caller names none
  created_at timestamptz NOT NULL DEFAULT now());
CREATE UNIQUE INDEX generation_one_legacy ON ateneo.generation ((true)) WHERE legacy;
CREATE UNIQUE INDEX generation_one_active ON ateneo.generation ((true)) WHERE active;

-- Words: one row a chunk, whatever the generations.
CREATE TABLE ateneo.chunk_lex (
  empresa_id   text NOT NULL,
  chunk_id     text NOT NULL,
  dl           int NOT NULL,                     -- length in lexemes
  terms        bigint[] NOT NULL,                -- hash(empresa, lexeme): a GIN key never holds two companies
  bm25         @vector@.sparsevec NOT NULL,      -- BM25 without idf, which comes with the query
  content_hash bytea NOT NULL,
  PRIMARY KEY (empresa_id, chunk_id));
CREATE INDEX chunk_lex_terms ON ateneo.chunk_lex USING gin (terms);

CREATE TABLE ateneo.tenant_stats (
  empresa_id text PRIMARY KEY,
  n          int NOT NULL,
  avgdl      float8 NOT NULL,                    -- the one that is baked into chunk_lex.bm25
  built_at   timestamptz NOT NULL DEFAULT now());

CREATE TABLE ateneo.term_stats (
  empresa_id text NOT NULL,
  term       bigint NOT NULL,
  df         int NOT NULL,
  PRIMARY KEY (empresa_id, term) INCLUDE (df));

-- Where a chunk stands in its document. Chunks that other programs wrote have no row here.
CREATE TABLE ateneo.chunk_meta (
  empresa_id text NOT NULL,
  chunk_id   text NOT NULL,
  page       int,
  headings   text[] NOT NULL DEFAULT '{}',
  metadata   jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (empresa_id, chunk_id));

CREATE TABLE ateneo.document (
  empresa_id   text NOT NULL,
  document_id  text NOT NULL,
  title        text NOT NULL,
  source       text NOT NULL,                    -- the file's name, by which a new version replaces the old one
  mime         text NOT NULL,
  content_hash bytea NOT NULL,                   -- sha256 of the file's bytes
  bytes        bigint NOT NULL,
  pages        int,
  metadata     jsonb NOT NULL DEFAULT '{}',
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (empresa_id, document_id),
  UNIQUE (empresa_id, source));
CREATE INDEX document_hash ON ateneo.document (empresa_id, content_hash);

CREATE TABLE ateneo.api_key (
  key_id       text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  empresa_id   text NOT NULL,
  name         text NOT NULL DEFAULT '',
  prefix       text NOT NULL UNIQUE,             -- the first characters of the key, to find it by
  key_hash     bytea NOT NULL,                   -- sha256 of the whole key, which is random
  created_at   timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz,
  revoked_at   timestamptz);
CREATE INDEX api_key_empresa ON ateneo.api_key (empresa_id);
