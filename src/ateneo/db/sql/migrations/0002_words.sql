-- One text search configuration for everything: Spanish stems of text that was folded before (functions/010_fold.sql).
CREATE TEXT SEARCH CONFIGURATION ateneo.es (COPY = pg_catalog.spanish);

-- BM25's k1 and b as they are baked into a company's chunk_lex.bm25, beside its average length.
ALTER TABLE ateneo.tenant_stats ADD COLUMN k1 float8 NOT NULL DEFAULT 1.2, ADD COLUMN b float8 NOT NULL DEFAULT 0.75;

-- The company's own words, unstemmed and folded, to correct a query's unknown ones by; `df` in chunks.
CREATE TABLE ateneo.vocabulary (
  empresa_id text NOT NULL,
  word       text NOT NULL,
  df         int NOT NULL,
  PRIMARY KEY (empresa_id, word));

-- Each word under the hash of itself and of itself with one letter deleted: two words share a key where they are one
-- insertion, deletion, substitution or swap of neighbours apart (Garbe's symmetric deletes).
CREATE TABLE ateneo.vocabulary_key (
  empresa_id text NOT NULL,
  key        bigint NOT NULL,
  word       text NOT NULL,
  PRIMARY KEY (empresa_id, key, word));

-- Words that a company uses for the same thing (celular, móvil), both ways; folded.
CREATE TABLE ateneo.synonym (
  empresa_id text NOT NULL,
  word       text NOT NULL,
  same_as    text NOT NULL,
  PRIMARY KEY (empresa_id, word, same_as));
