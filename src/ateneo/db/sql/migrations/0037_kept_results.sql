-- What kept searches found, for the list of what nobody could answer: figures, never passages.
ALTER TABLE ateneo.kept_query
  ADD COLUMN times int NOT NULL DEFAULT 1, -- how often it was asked
  ADD COLUMN found int,                    -- passages found when it was asked last; NULL: it is not known
  ADD COLUMN best  float8;                 -- the highest relevance among them; NULL: it is not known
