-- Jobs (docs/adr/0055-jobs.md) and originals (docs/adr/0056-originals.md).
-- A file as it was sent, once a company; its bytes stand in `original_part`, numbered from 0.
CREATE TABLE ateneo.original (
  empresa_id text NOT NULL,
  sha256     bytea NOT NULL,
  bytes      bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (empresa_id, sha256));

CREATE TABLE ateneo.original_part (
  empresa_id text NOT NULL,
  sha256     bytea NOT NULL,
  part       int NOT NULL,
  data       bytea NOT NULL,
  PRIMARY KEY (empresa_id, sha256, part));
ALTER TABLE ateneo.original_part ALTER data SET STORAGE EXTERNAL;   -- files are compressed already

CREATE INDEX document_content ON ateneo.document (empresa_id, content_hash);

-- An upload on its way to being a document. It has ended where `ended_at` is set. A lease is two columns, as in the embedding_queue.
CREATE TABLE ateneo.job (
  empresa_id    text NOT NULL,
  job_id        text NOT NULL DEFAULT gen_random_uuid()::text,
  state         text NOT NULL DEFAULT 'queued' CHECK (state IN
    ('queued', 'reading', 'chunking', 'embedding', 'ready', 'unchanged', 'superseded', 'failed', 'cancelled')),
  priority      smallint NOT NULL DEFAULT 0 CHECK (priority IN (0, 1)),   -- 0: somebody waits, 1: bulk
  source        text NOT NULL,                       -- the file's name
  sha256        bytea NOT NULL,
  bytes         bigint NOT NULL,
  document_id   text,                                -- NULL: not known before it is stored
  asked         jsonb NOT NULL,                      -- identity, title, metadata ... as they were sent
  arrival       bigint NOT NULL,
  attempts      int NOT NULL DEFAULT 0,
  most_attempts int NOT NULL,
  deaths        int NOT NULL DEFAULT 0,              -- processes that ended with it in hand
  next_try_at   timestamptz NOT NULL DEFAULT now(),
  leased_by     text,
  lease_until   timestamptz,
  cancel        boolean NOT NULL DEFAULT false,      -- asked for while it is in hand
  chunks        int,                                 -- to embed, once it is cut
  embedded      int NOT NULL DEFAULT 0,
  status        text,                                -- what became of the document: created, replaced ...
  error_code    text,
  error_message text,
  error_remedy  text,
  created_at    timestamptz NOT NULL DEFAULT now(),
  started_at    timestamptz,
  updated_at    timestamptz NOT NULL DEFAULT now(),
  ended_at      timestamptz,
  PRIMARY KEY (empresa_id, job_id),
  CHECK ((ended_at IS NULL) = (state IN ('queued', 'reading', 'chunking', 'embedding'))));
CREATE INDEX job_open ON ateneo.job (priority, empresa_id, arrival) WHERE ended_at IS NULL;
CREATE INDEX job_alone ON ateneo.job (next_try_at) WHERE ended_at IS NULL AND deaths > 0;
CREATE INDEX job_leased ON ateneo.job (lease_until) WHERE leased_by IS NOT NULL;
CREATE INDEX job_listed ON ateneo.job (empresa_id, arrival DESC);
CREATE INDEX job_original ON ateneo.job (empresa_id, sha256);
CREATE INDEX job_ended ON ateneo.job (ended_at) WHERE ended_at IS NOT NULL;
