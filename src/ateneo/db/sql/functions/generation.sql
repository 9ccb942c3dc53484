-- A new generation: its row and its narrow table. STORAGE PLAIN keeps vectors in line, so that exact scans stay cheap.
-- HASH partitions hold a company's own indexes beside a sixteenth of the others: planning stays cheap with hundreds.
-- The first one of a database is active at once; a later one fills first (switch.sql).
DROP FUNCTION IF EXISTS ateneo.create_generation(text, text, int);

CREATE OR REPLACE FUNCTION ateneo.create_generation(p_provider text, p_model text, p_dims int, p_asked_dims int DEFAULT NULL) RETURNS smallint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  g smallint;
  first boolean;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('ateneo.create_generation', 0));
  SELECT generation INTO g FROM ateneo.generation
    WHERE provider = p_provider AND model = p_model AND dims = p_dims AND state <> 'retired';
  IF FOUND THEN RETURN g; END IF;
  SELECT coalesce(max(generation), 0) + 1, count(*) FILTER (WHERE state <> 'retired') = 0 INTO g, first FROM ateneo.generation;
  EXECUTE format('CREATE TABLE ateneo.vec_g%s (empresa_id text NOT NULL, chunk_id text NOT NULL,
    embedding @vector@.halfvec(%s) NOT NULL, PRIMARY KEY (empresa_id, chunk_id)) PARTITION BY HASH (empresa_id)', g, p_dims);
  IF p_dims < 3900 THEN EXECUTE format('ALTER TABLE ateneo.vec_g%s ALTER embedding SET STORAGE PLAIN', g); END IF;
  FOR part IN 0..15 LOOP
    EXECUTE format('CREATE TABLE ateneo.vec_g%1$s_p%2$s PARTITION OF ateneo.vec_g%1$s
      FOR VALUES WITH (MODULUS 16, REMAINDER %2$s)', g, part);
  END LOOP;
  INSERT INTO ateneo.generation (generation, provider, model, dims, asked_dims, legacy, state, activated_at)
    VALUES (g, p_provider, p_model, p_dims, p_asked_dims, first, CASE WHEN first THEN 'active' ELSE 'filling' END,
      CASE WHEN first THEN now() END);
  PERFORM ateneo.protect_tables();
  RETURN g;
END $$;

CREATE OR REPLACE FUNCTION ateneo.active_generation() RETURNS smallint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
  'SELECT generation FROM ateneo.generation WHERE active';
