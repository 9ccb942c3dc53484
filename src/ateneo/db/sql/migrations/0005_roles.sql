-- Who may do what: keys with scopes and an end, the trail of what was done, and the secret that tenants are signed with.
-- The roles themselves and the policies are in functions/120_protect.sql, which runs at every upgrade.

ALTER TABLE ateneo.api_key
  ADD COLUMN scopes text[] NOT NULL DEFAULT '{read,write,agents}',
  ADD COLUMN expires_at timestamptz;

-- Append-only. Ids and counts, never texts: it may be kept longer than what it tells of.
CREATE TABLE ateneo.audit (
  empresa_id text NOT NULL,
  audit_id   bigint GENERATED ALWAYS AS IDENTITY,
  at         timestamptz NOT NULL DEFAULT now(),
  actor      text NOT NULL,                      -- key:<key_id>, jwt:<subject>, cli:<user of the system>
  action     text NOT NULL,                      -- the API's operation, or the command
  target     text,                               -- a document, an agent, a key
  status     int NOT NULL,                       -- as in HTTP
  results    int,                                -- how many passages, documents ... went out
  request_id text,
  PRIMARY KEY (empresa_id, audit_id));

-- HMAC-SHA256 needs the secret padded in two ways; one row at most. Without a row a bare empresa_id is believed.
CREATE TABLE ateneo.tenant_secret (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  inner_pad bytea NOT NULL,
  outer_pad bytea NOT NULL,
  set_at    timestamptz NOT NULL DEFAULT now());
