-- What people searched for, where ATENEO_KEEP_QUERIES asks for it: so that two models can be compared on it. Each text once
-- a company, the last ones only, each with its end. Protected and erased like every table that has an empresa_id.
CREATE TABLE ateneo.kept_query (
  empresa_id text NOT NULL,
  query_hash bytea NOT NULL,                     -- sha256 of the text
  query      text NOT NULL,
  at         timestamptz NOT NULL DEFAULT now(), -- asked last
  until      timestamptz NOT NULL,
  PRIMARY KEY (empresa_id, query_hash));
