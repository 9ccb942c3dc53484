-- Which chunks want a vector of which generation, and have none for their present text. Filled by the triggers of
-- knowledge_chunks, emptied by workers (docs/adr/0012-queue.md). No foreign keys: each would cost every insert a look-up.
CREATE TABLE ateneo.embedding_queue (
  empresa_id   text NOT NULL,
  chunk_id     text NOT NULL,
  generation   smallint NOT NULL,
  content_hash bytea NOT NULL,                   -- of the text that was there when it was queued
  queued_at    timestamptz NOT NULL DEFAULT now(),
  attempts     int NOT NULL DEFAULT 0,           -- claims that ended without a vector, the present one included
  next_try_at  timestamptz NOT NULL DEFAULT now(),
  leased_by    text,
  lease_until  timestamptz,
  state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'dead', 'dropped')),
  error        text,
  PRIMARY KEY (empresa_id, chunk_id, generation))
  -- leases are HOT updates: room on the page, and no index on what they change
  WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_threshold = 100000);
CREATE INDEX embedding_queue_ready ON ateneo.embedding_queue (generation, empresa_id, queued_at) WHERE state = 'pending';
CREATE INDEX embedding_queue_text ON ateneo.embedding_queue (empresa_id, content_hash);

-- A text that the company has embedded already is not embedded again.
CREATE INDEX chunk_lex_text ON ateneo.chunk_lex (empresa_id, content_hash);

-- Who works on the queue. `rate` in chunks a second, over the last minute.
CREATE TABLE ateneo.worker (
  worker_id   text PRIMARY KEY,
  host        text NOT NULL,
  pid         int NOT NULL,
  state       text NOT NULL DEFAULT 'idle' CHECK (state IN ('idle', 'working', 'paused')),
  note        text,                              -- why it is paused
  concurrency int NOT NULL DEFAULT 1,            -- requests at a time that the provider bears at present
  rate        float8 NOT NULL DEFAULT 0,
  started_at  timestamptz NOT NULL DEFAULT now(),
  seen_at     timestamptz NOT NULL DEFAULT now());

-- What providers billed, a company's share of each request by the tokens of its texts. `day` in UTC.
CREATE TABLE ateneo.embedding_usage (
  empresa_id text NOT NULL,
  provider   text NOT NULL,
  model      text NOT NULL,
  day        date NOT NULL,
  texts      bigint NOT NULL,
  tokens     bigint NOT NULL,
  usd        float8 NOT NULL,                    -- 0 where the model's price is not known
  PRIMARY KEY (empresa_id, day, provider, model));

-- What a company may spend in a calendar month (UTC); NULL: no limit.
CREATE TABLE ateneo.embedding_budget (
  empresa_id text PRIMARY KEY,
  tokens     bigint CHECK (tokens >= 0),
  usd        float8 CHECK (usd >= 0));
