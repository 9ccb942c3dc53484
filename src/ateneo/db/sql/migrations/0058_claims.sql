-- The claims of an answer, each with whether the passages that it cites support it; [] where that was not checked.
ALTER TABLE ateneo.turn ADD COLUMN claims jsonb NOT NULL DEFAULT '[]';
