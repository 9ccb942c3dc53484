-- Answers to requests with an Idempotency-Key, to be given again (functions/kept_answers.sql). The key itself is not kept, which
-- may be anything of its sender's: its sha256 is.
CREATE TABLE ateneo.kept_answer (
  empresa_id    text NOT NULL,
  key_hash      bytea NOT NULL,
  request_hash  bytea NOT NULL,                    -- of method, path and body: the same key with another request is an error
  claim         uuid NOT NULL,                     -- of the request that is being answered, or was
  claimed_until timestamptz NOT NULL,              -- a process that died answers no more
  expires_at    timestamptz NOT NULL,
  status        int,                               -- as in HTTP; NULL while it is being answered
  headers       jsonb,
  body          bytea,
  PRIMARY KEY (empresa_id, key_hash));
CREATE INDEX kept_answer_expires ON ateneo.kept_answer (expires_at);
