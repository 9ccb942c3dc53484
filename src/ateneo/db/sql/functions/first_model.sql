-- The model of a database that has no vectors yet is the one that the settings name, whenever they were written. These
-- look at the vectors of all companies: a database has one model.

-- Whether another model may take the place of the one there is without a loss: nothing is kept, or one generation alone
-- that holds no vector.
CREATE OR REPLACE FUNCTION ateneo.model_is_open() RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE kept smallint[]; used boolean;
BEGIN
  SELECT array_agg(g.generation) INTO kept FROM ateneo.generation g WHERE g.state <> 'retired';
  IF kept IS NULL THEN RETURN true; END IF;
  IF cardinality(kept) > 1 THEN RETURN false; END IF;
  EXECUTE format('SELECT EXISTS (SELECT FROM ateneo.vec_g%s)', kept[1]) INTO used;
  RETURN NOT used;
END $$;

-- Ends it, if it is the active one and there is nothing to lose. Its table goes with the next upgrade or prune.
CREATE OR REPLACE FUNCTION ateneo.retire_empty(gen smallint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('ateneo.create_generation', 0));
  PERFORM FROM ateneo.generation g WHERE g.generation = gen AND g.active;
  IF NOT FOUND THEN RETURN false; END IF;
  EXECUTE format('LOCK TABLE ateneo.vec_g%s IN SHARE ROW EXCLUSIVE MODE', gen);
  IF NOT ateneo.model_is_open() THEN RETURN false; END IF;
  UPDATE ateneo.generation g SET state = 'retired', legacy = false, retired_at = now() WHERE g.generation = gen;
  DELETE FROM ateneo.embedding_queue q WHERE q.generation = gen;
  RETURN true;
END $$;

-- How long the vectors are that the guide's column holds, of most of the first thousand; NULL where it holds none.
CREATE OR REPLACE FUNCTION ateneo.column_dims() RETURNS int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT mode() WITHIN GROUP (ORDER BY @vector@.vector_dims(sample.embedding))
  FROM (SELECT k.embedding FROM public.knowledge_chunks k WHERE k.embedding IS NOT NULL LIMIT 1000) sample
$$;
