-- A generation's life: filling -> active <-> previous -> retired (docs/adr/0015-switch-of-model.md). Retired rows stay, without a
-- table: a number is never given twice, so that a client that has an old one cached can never meet another model's vectors.
ALTER TABLE ateneo.generation
  ADD COLUMN state text NOT NULL DEFAULT 'filling' CHECK (state IN ('filling', 'active', 'previous', 'retired')),
  ADD COLUMN asked_dims int,                     -- asked of the provider where it is not the model's own length
  ADD COLUMN activated_at timestamptz,
  ADD COLUMN retired_at timestamptz;
UPDATE ateneo.generation SET activated_at = created_at, state = CASE WHEN active THEN 'active' ELSE 'filling' END;
ALTER TABLE ateneo.generation DROP COLUMN active;
ALTER TABLE ateneo.generation ADD COLUMN active boolean GENERATED ALWAYS AS (state = 'active') STORED;
CREATE UNIQUE INDEX generation_one_active ON ateneo.generation ((true)) WHERE active;
CREATE UNIQUE INDEX generation_one_filling ON ateneo.generation ((true)) WHERE state = 'filling';
