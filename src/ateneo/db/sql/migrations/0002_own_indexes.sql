-- What maintenance remembers, and generations in HASH partitions: with hundreds of companies' own indexes on one table,
-- the planner would look at each of them for every search (docs/adr/0009-hnsw-per-company.md).

CREATE TABLE ateneo.own_index (
  generation smallint NOT NULL REFERENCES ateneo.generation ON DELETE CASCADE,
  empresa_id text NOT NULL,
  vectors    bigint NOT NULL,                    -- in the graph when it was built
  built_xid  xid8 NOT NULL,                      -- rows with an older xmin are still as the graph met them
  built_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (generation, empresa_id));

CREATE TABLE ateneo.recall_measured (
  generation  smallint NOT NULL REFERENCES ateneo.generation ON DELETE CASCADE,
  empresa_id  text NOT NULL,
  recall      float8 NOT NULL,
  k           int NOT NULL,
  queries     int NOT NULL,
  measured_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (generation, empresa_id));

-- Rebuilds that were begun and not finished: where to go on.
CREATE TABLE ateneo.rebuild (
  scope    text PRIMARY KEY,                     -- an empresa_id, or '' for all of them
  after_id text,
  chunks   bigint NOT NULL DEFAULT 0,
  begun_at timestamptz NOT NULL DEFAULT now());

DO $$
DECLARE g smallint; d int;
BEGIN
  FOR g, d IN SELECT generation, dims FROM ateneo.generation LOOP
    EXECUTE format('ALTER TABLE ateneo.vec_g%1$s RENAME TO vec_g%1$s_flat', g);
    EXECUTE format('ALTER TABLE ateneo.vec_g%1$s_flat RENAME CONSTRAINT vec_g%1$s_pkey TO vec_g%1$s_flat_pkey', g);
    EXECUTE format('CREATE TABLE ateneo.vec_g%s (empresa_id text NOT NULL, chunk_id text NOT NULL,
      embedding @vector@.halfvec(%s) NOT NULL, PRIMARY KEY (empresa_id, chunk_id)) PARTITION BY HASH (empresa_id)', g, d);
    IF d < 3900 THEN EXECUTE format('ALTER TABLE ateneo.vec_g%s ALTER embedding SET STORAGE PLAIN', g); END IF;
    FOR part IN 0..15 LOOP
      EXECUTE format('CREATE TABLE ateneo.vec_g%1$s_p%2$s PARTITION OF ateneo.vec_g%1$s
        FOR VALUES WITH (MODULUS 16, REMAINDER %2$s)', g, part);
    END LOOP;
    -- by company and chunk: an exact scan reads a company's rows one after the other
    EXECUTE format('INSERT INTO ateneo.vec_g%1$s SELECT * FROM ateneo.vec_g%1$s_flat ORDER BY empresa_id, chunk_id', g);
    EXECUTE format('DROP TABLE ateneo.vec_g%s_flat', g);
  END LOOP;
END $$;
