-- The generations whose vectors are kept up to date with the chunks table: the one that fills and those that can be returned to,
-- too. A retired one has no table.
CREATE OR REPLACE FUNCTION ateneo.live_generations() RETURNS SETOF smallint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS
  $$ SELECT generation FROM ateneo.generation WHERE state <> 'retired' $$;
