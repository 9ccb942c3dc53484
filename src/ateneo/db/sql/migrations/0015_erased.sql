-- Companies that were erased: what was under way for one when it went must not bring it back. A new key opens it again.
CREATE TABLE ateneo.erased (
  empresa_id text PRIMARY KEY,
  erased_at  timestamptz NOT NULL DEFAULT now());
