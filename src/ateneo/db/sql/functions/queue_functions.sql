-- What the application may know of the queue and of its company's vectors and budget.

-- The queue in figures, no company named: for /metrics and `ateneo status`. Of the pending rows each is leased, later,
-- over_budget or ready.
DROP FUNCTION IF EXISTS ateneo.queue_figures();

CREATE OR REPLACE FUNCTION ateneo.queue_figures(OUT pending bigint, OUT leased bigint, OUT later bigint, OUT over_budget bigint,
  OUT dead bigint, OUT dropped bigint, OUT suspects bigint, OUT oldest_s float8, OUT rate float8, OUT idle bigint, OUT working bigint, OUT paused bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT q.*, w.* FROM (
    SELECT count(*) FILTER (WHERE q.state = 'pending'), count(*) FILTER (WHERE q.state = 'pending' AND q.lease_until >= now()),
      count(*) FILTER (WHERE q.state = 'pending' AND q.next_try_at > now() AND NOT coalesce(q.lease_until >= now(), false)),
      count(*) FILTER (WHERE q.state = 'pending' AND q.next_try_at <= now() AND NOT coalesce(q.lease_until >= now(), false) AND q.empresa_id IN
        (SELECT b.empresa_id FROM ateneo.embedding_budget b WHERE ateneo.over_budget(b.empresa_id))),
      count(*) FILTER (WHERE q.state = 'dead'), count(*) FILTER (WHERE q.state = 'dropped'),
      count(*) FILTER (WHERE q.state = 'pending' AND q.deaths > 0),
      coalesce(extract(epoch FROM now() - min(q.queued_at) FILTER (WHERE q.state = 'pending')), 0)::float8
    FROM ateneo.embedding_queue q) q, (
    SELECT coalesce(sum(w.rate), 0), count(*) FILTER (WHERE w.state = 'idle'), count(*) FILTER (WHERE w.state = 'working'),
      count(*) FILTER (WHERE w.state = 'paused')
    FROM ateneo.worker w WHERE w.seen_at > now() - interval '30 seconds') w
$$;

-- The tenant's vectors of texts that it has embedded already, by the texts' hashes; full precision where the guide's column
-- has it.
CREATE OR REPLACE FUNCTION ateneo.known_vectors(gen smallint, hashes bytea[]) RETURNS TABLE (hash bytea, embedding real[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY EXECUTE format($q$
    SELECT h.h, twin.v FROM unnest($1) h(h),
    -- by the text's hash first, as in ateneo.settle_known
    LATERAL (SELECT CASE WHEN $3 THEN k.embedding::real[] ELSE x.embedding::@vector@.vector::real[] END AS v
      FROM (SELECT c.chunk_id FROM ateneo.chunk_lex c WHERE c.empresa_id = $2 AND c.content_hash = h.h OFFSET 0) c,
      LATERAL (SELECT x.embedding FROM ateneo.vec_g%s x WHERE x.empresa_id = $2 AND x.chunk_id = c.chunk_id OFFSET 0) x,
      LATERAL (SELECT k.embedding FROM public.knowledge_chunks k WHERE k.id = c.chunk_id AND k.empresa_id = $2 OFFSET 0) k LIMIT 1) twin WHERE twin.v IS NOT NULL $q$, gen)
    USING hashes, ateneo.tenant(), (SELECT g.legacy FROM ateneo.generation g WHERE g.generation = gen);
END $$;

CREATE OR REPLACE FUNCTION ateneo.own_over_budget() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
  'SELECT ateneo.over_budget(ateneo.tenant())';
