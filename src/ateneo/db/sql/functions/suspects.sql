-- Texts that may have killed a worker's process: rows whose lease ended without being given back. They are leased apart
-- from all others, in groups that get smaller with every death, to a process that has nothing else in hand
-- (docs/adr/0029-texts-that-crash-a-worker.md).

-- Whether some of them may be claimed now.
CREATE OR REPLACE FUNCTION ateneo.suspects_wait(gen smallint, only_empresa text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
  SELECT EXISTS (SELECT FROM ateneo.embedding_queue q WHERE q.state = 'pending' AND q.deaths > 0 AND q.generation + 0 = gen
    AND q.next_try_at <= now() AND (q.lease_until IS NULL OR q.lease_until < now())
    AND (only_empresa IS NULL OR q.empresa_id = only_empresa) AND NOT ateneo.over_budget(q.empresa_id))
$$;

DROP FUNCTION IF EXISTS ateneo.lease_suspects(smallint, text, int, interval, text);

-- The next group, those with the fewest deaths first, one row a text: 64 rows after one death, then 16, 4, and one alone.
CREATE OR REPLACE FUNCTION ateneo.lease_suspects(gen smallint, worker text, size int, lease interval, only_empresa text,
  OUT es text[], OUT ids text[], OUT hs bytea[], OUT tries int[], OUT deaths int)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE companies text[];
BEGIN
  WITH lost AS (SELECT q.ctid AS place FROM ateneo.embedding_queue q
    WHERE q.state = 'pending' AND q.deaths > 0 AND q.generation + 0 = gen AND q.lease_until < now() FOR UPDATE SKIP LOCKED)
  UPDATE ateneo.embedding_queue q SET deaths = q.deaths + 1, attempts = q.attempts - 1, leased_by = NULL, lease_until = NULL
    FROM lost WHERE q.ctid = lost.place;
  companies := ARRAY(SELECT c.e FROM (SELECT DISTINCT q.empresa_id AS e FROM ateneo.embedding_queue q
      WHERE q.state = 'pending' AND q.deaths > 0 AND q.generation + 0 = gen) c
    WHERE (only_empresa IS NULL OR c.e = only_empresa) AND NOT ateneo.over_budget(c.e));
  SELECT min(q.deaths) INTO lease_suspects.deaths FROM ateneo.embedding_queue q WHERE q.state = 'pending' AND q.deaths > 0
    AND q.generation + 0 = gen AND q.empresa_id = ANY (companies) AND q.next_try_at <= now() AND q.lease_until IS NULL;
  WITH one AS (
    SELECT DISTINCT ON (q.empresa_id, q.content_hash) q.empresa_id AS e, q.chunk_id AS i FROM ateneo.embedding_queue q
    WHERE q.state = 'pending' AND q.deaths = lease_suspects.deaths AND q.deaths > 0 AND q.generation + 0 = gen AND q.empresa_id = ANY (companies)
      AND q.next_try_at <= now() AND q.lease_until IS NULL
    ORDER BY q.empresa_id, q.content_hash, q.chunk_id LIMIT least(size, greatest(1, 256 >> (2 * lease_suspects.deaths)))),
  held AS (SELECT q.ctid AS place FROM ateneo.embedding_queue q JOIN one ON q.empresa_id = one.e AND q.chunk_id = one.i
    WHERE q.generation + 0 = gen FOR UPDATE OF q SKIP LOCKED),
  leased AS (
    UPDATE ateneo.embedding_queue q SET leased_by = worker, lease_until = now() + lease, attempts = q.attempts + 1
    FROM held WHERE q.ctid = held.place RETURNING q.empresa_id, q.chunk_id, q.content_hash, q.attempts)
  SELECT array_agg(l.empresa_id), array_agg(l.chunk_id), array_agg(l.content_hash), array_agg(l.attempts)
    INTO es, ids, hs, tries FROM (SELECT * FROM leased ORDER BY empresa_id, chunk_id) l;
END $$;

-- A text that crashes workers is parked with all its copies in the company. Returns them.
CREATE OR REPLACE FUNCTION ateneo.park_killers(gen smallint, empresas text[], ids text[], reason text)
RETURNS TABLE (empresa_id text, chunk_id text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
  WITH held AS (
    SELECT twin.ctid AS place, q.deaths FROM unnest(empresas, ids) t(e, i)
    JOIN ateneo.embedding_queue q ON q.empresa_id = t.e AND q.chunk_id = t.i AND q.generation + 0 = gen
    JOIN ateneo.embedding_queue twin ON twin.empresa_id = q.empresa_id AND twin.content_hash = q.content_hash AND twin.generation + 0 = gen
    WHERE twin.state = 'pending' FOR UPDATE OF twin SKIP LOCKED)
  UPDATE ateneo.embedding_queue q SET state = 'dead', error = reason, deaths = held.deaths, leased_by = NULL, lease_until = NULL
    FROM held WHERE q.ctid = held.place RETURNING q.empresa_id, q.chunk_id
$$;
