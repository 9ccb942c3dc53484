-- The generations whose vectors are kept up to date with the record.
CREATE OR REPLACE FUNCTION ateneo.live_generations() RETURNS SETOF smallint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS
  'SELECT generation FROM ateneo.generation WHERE legacy OR active';
