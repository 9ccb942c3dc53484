-- The queue of chunks that want a vector: filled by triggers, claimed by lease, emptied by ateneo.store_embeddings. Rows of
-- the chunks table are always locked before rows of the queue, and several rows at once only with SKIP LOCKED: no worker
-- can be half of a deadlock with the user's own statements.

DROP FUNCTION IF EXISTS ateneo.claim(smallint, text, int, interval, text, text), ateneo.claim(smallint, text, int, interval, text, text, boolean),
  ateneo.settle_known(smallint, text[], text[]), ateneo.lease_rows(smallint, text, int, interval, text[]);

-- Where rows are looked up by key or by text, `generation + 0` keeps the planner from taking embedding_queue_ready for it: a
-- queue that has just been filled has no statistics, and all its indexes look alike.

-- The guide's rule: ten characters or fewer get no embedding.
CREATE OR REPLACE FUNCTION ateneo.wants_vector(contenido text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
  'SELECT coalesce(length(contenido) > 10, false)';

-- One row of the chunks table was written. The column belongs to the legacy generation: given a vector, it waits no longer.
CREATE OR REPLACE FUNCTION ateneo.queue_row(p_empresa text, p_id text, p_text text, has_vector boolean, retext boolean, fresh boolean)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE wanted boolean := ateneo.wants_vector(p_text);
BEGIN
  IF NOT fresh AND (has_vector OR NOT wanted) THEN
    DELETE FROM ateneo.embedding_queue q WHERE q.empresa_id = p_empresa AND q.chunk_id = p_id
      AND (NOT wanted OR q.generation = (SELECT g.generation FROM ateneo.generation g WHERE g.legacy));
  END IF;
  IF NOT wanted OR (has_vector AND NOT retext) THEN RETURN; END IF;
  INSERT INTO ateneo.embedding_queue AS q (empresa_id, chunk_id, generation, content_hash)
    SELECT p_empresa, p_id, g.generation, sha256(convert_to(p_text, 'UTF8')) FROM ateneo.generation g
    WHERE g.generation IN (SELECT ateneo.live_generations()) AND CASE WHEN g.legacy THEN NOT has_vector ELSE retext END
    ON CONFLICT (empresa_id, chunk_id, generation) DO UPDATE
      SET content_hash = excluded.content_hash, queued_at = now(), attempts = 0, next_try_at = now(),
        leased_by = NULL, lease_until = NULL, state = 'pending', error = NULL, deaths = 0;
  -- a hint for who waits; it is left out while all are at work, because NOTIFY takes a lock on all commits, and where transactions
  -- can be prepared, because one that has notified cannot
  IF FOUND AND current_setting('max_prepared_transactions') = '0' AND EXISTS (SELECT FROM ateneo.worker w WHERE w.state = 'idle' AND w.seen_at > now() - interval '1 minute') THEN
    PERFORM pg_notify('ateneo_queue', '');
  END IF;
END $$;

-- Queues what the triggers have not seen: rows from before, restores, a generation that begins. `revive`: dead letters, and
-- rows that wait for their next try, are tried now; but not texts that killed: those, only by name. Returns how many rows were queued or revived.
CREATE OR REPLACE FUNCTION ateneo.queue_missing(gen smallint, p_empresa text DEFAULT NULL, revive boolean DEFAULT false)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE n bigint; m bigint := 0;
BEGIN
  EXECUTE format($q$
    INSERT INTO ateneo.embedding_queue (empresa_id, chunk_id, generation, content_hash)
    SELECT k.empresa_id, k.id, $1, sha256(convert_to(k.contenido, 'UTF8')) FROM public.knowledge_chunks k
    WHERE ateneo.wants_vector(k.contenido) AND ateneo.indexable_key(k.empresa_id, k.id) AND ($2 IS NULL OR k.empresa_id = $2) AND %s
      AND NOT EXISTS (SELECT FROM ateneo.embedding_queue q WHERE q.empresa_id = k.empresa_id AND q.chunk_id = k.id AND q.generation + 0 = $1)
    ORDER BY k.id
    ON CONFLICT DO NOTHING $q$,
    CASE WHEN (SELECT g.legacy FROM ateneo.generation g WHERE g.generation = gen) THEN 'k.embedding IS NULL'
      ELSE format('NOT EXISTS (SELECT FROM ateneo.vec_g%s v WHERE v.empresa_id = k.empresa_id AND v.chunk_id = k.id)', gen) END)
    USING gen, p_empresa;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF revive THEN
    WITH held AS (SELECT q.ctid AS place FROM ateneo.embedding_queue q
      WHERE q.generation = gen AND (p_empresa IS NULL OR q.empresa_id = p_empresa)
        AND (q.state = 'dead' AND q.deaths = 0 OR q.next_try_at > now()) FOR UPDATE SKIP LOCKED)
    UPDATE ateneo.embedding_queue q SET state = 'pending', attempts = 0, next_try_at = now(), error = NULL
      FROM held WHERE q.ctid = held.place;
    GET DIAGNOSTICS m = ROW_COUNT;
  END IF;
  RETURN n + m;
END $$;

-- Whether the company has spent what it may this month.
CREATE OR REPLACE FUNCTION ateneo.over_budget(p_empresa text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce((SELECT spent.tokens >= b.tokens OR spent.usd >= b.usd FROM ateneo.embedding_budget b,
      LATERAL (SELECT coalesce(sum(u.tokens), 0) AS tokens, coalesce(sum(u.usd), 0) AS usd FROM ateneo.embedding_usage u
        WHERE u.empresa_id = b.empresa_id AND u.day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date) spent
    WHERE b.empresa_id = p_empresa), false)
$$;

-- The companies with rows to claim, from the one after `after` on, around; one look into the index a company.
CREATE OR REPLACE FUNCTION ateneo.waiting_companies(gen smallint, after text, most int) RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE company text := after; wrapped boolean := after IS NULL; found_n int := 0;
BEGIN
  LOOP
    company := (SELECT q.empresa_id FROM ateneo.embedding_queue q WHERE q.generation = gen AND q.state = 'pending'
      AND q.empresa_id > coalesce(company, '') ORDER BY q.empresa_id LIMIT 1);
    IF company IS NULL THEN
      EXIT WHEN wrapped;
      wrapped := true;
      CONTINUE;
    END IF;
    EXIT WHEN wrapped AND after IS NOT NULL AND company > after;
    IF NOT ateneo.over_budget(company) THEN
      RETURN NEXT company;
      found_n := found_n + 1;
    END IF;
    EXIT WHEN found_n >= most;
  END LOOP;
END $$;

-- Leases up to `most` texts of one company to `worker`, the oldest first: one row a text, and none whose text is in hand, waits for its
-- next try, or may have killed a worker; its copies get its vector. A lease that ended without being given back was a dead worker's: such
-- rows, and their texts, are for suspects.sql. Copies are skipped by reading farther, four times as far each time, and each text is
-- looked up once, so that a claim is linear in them (docs/adr/0039-identical-texts.md). Keys, hashes and attempts are in the order of the
-- queue's pages, which is that of the chunks table's where a bulk load filled them.
CREATE OR REPLACE FUNCTION ateneo.lease_texts(gen smallint, worker text, most int, lease interval, company text,
  OUT ids text[], OUT hs bytea[], OUT tries int[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE wanted bigint := least(most, ateneo.affordable(company, gen)); depth bigint := greatest(wanted, 64); found_n bigint; lost tid[]; free tid[];
BEGIN
  LOOP
    WITH head AS MATERIALIZED (
      SELECT q.ctid AS place, q.queued_at, q.content_hash AS h, q.leased_by IS NOT NULL AS lost FROM ateneo.embedding_queue q
      WHERE q.generation = gen AND q.empresa_id = company AND q.state = 'pending' AND q.next_try_at <= now()
        AND (q.lease_until IS NULL OR q.lease_until < now()) AND q.deaths = 0
      ORDER BY q.queued_at LIMIT depth),
    texts AS (SELECT DISTINCT ON (h) h, queued_at, place FROM head ORDER BY h, queued_at, place)
    SELECT (SELECT count(*) FROM head), ARRAY(SELECT place FROM head WHERE head.lost),
      ARRAY(SELECT t.place FROM (SELECT * FROM texts ORDER BY queued_at, place OFFSET 0) t
        WHERE (SELECT true FROM ateneo.embedding_queue s WHERE s.content_hash = t.h AND s.empresa_id = company AND s.generation + 0 = gen
          AND (s.leased_by IS NOT NULL OR (s.state = 'pending' AND (s.deaths > 0 OR s.next_try_at > now()))) LIMIT 1) IS NULL
        LIMIT wanted)
      INTO found_n, lost, free;
    EXIT WHEN cardinality(free) >= wanted OR found_n < depth;
    depth := depth * 4;
  END LOOP;
  -- by place alone: a condition that an index knows could make the planner go through that, by all of the company's rows
  WITH held AS (SELECT q.ctid AS place FROM unnest(lost) l(place) JOIN ateneo.embedding_queue q ON q.ctid = l.place
    WHERE CASE WHEN q.state = 'pending' THEN q.leased_by IS NOT NULL AND q.lease_until < now() AND q.deaths = 0 END
    FOR UPDATE OF q SKIP LOCKED)
  UPDATE ateneo.embedding_queue q SET deaths = 1, attempts = q.attempts - 1, leased_by = NULL, lease_until = NULL
    FROM held WHERE q.ctid = held.place;
  WITH held AS (SELECT q.ctid AS place FROM unnest(free) f(place) JOIN ateneo.embedding_queue q ON q.ctid = f.place
    WHERE CASE WHEN q.state = 'pending' THEN q.leased_by IS NULL AND q.deaths = 0 END FOR UPDATE OF q SKIP LOCKED),
  leased AS (
    UPDATE ateneo.embedding_queue q SET leased_by = worker, lease_until = now() + lease, attempts = q.attempts + 1
    FROM held WHERE q.ctid = held.place RETURNING held.place, q.chunk_id, q.content_hash, q.attempts)
  SELECT array_agg(l.chunk_id), array_agg(l.content_hash), array_agg(l.attempts) INTO ids, hs, tries
    FROM (SELECT * FROM leased ORDER BY place) l;
END $$;

-- Leases up to `size` rows, shared evenly among the companies given.
CREATE OR REPLACE FUNCTION ateneo.lease_rows(gen smallint, worker text, size int, lease interval, companies text[],
  OUT es text[], OUT ids text[], OUT hs bytea[], OUT tries int[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE hungry text[]; company text; quota int; got int; missing int := size; l record;
BEGIN
  es := '{}'; ids := '{}'; hs := '{}'; tries := '{}';
  WHILE missing > 0 AND cardinality(companies) > 0 LOOP
    hungry := '{}';
    quota := ceil(missing::float8 / cardinality(companies));
    FOREACH company IN ARRAY companies LOOP
      SELECT * INTO l FROM ateneo.lease_texts(gen, worker, least(quota, missing), lease, company);
      got := coalesce(cardinality(l.ids), 0);
      IF got > 0 THEN
        es := es || array_fill(company, ARRAY[got]);
        ids := ids || l.ids; hs := hs || l.hs; tries := tries || l.tries;
        missing := missing - got;
      END IF;
      IF got >= quota THEN hungry := hungry || company; END IF;
      EXIT WHEN missing <= 0;
    END LOOP;
    companies := hungry;
  END LOOP;
END $$;

-- The next rows for a worker, with their texts; of one company, or of all from the one after `after` on. `copied`: how many
-- rows needed no provider and are done. Neither: there is nothing to do now. One claim of a generation at a time, so
-- that no two take the same text. A queue that has just been filled is a small table to the planner: left to itself it would
-- read all of it for every claim. `alone`: a group of suspects instead, each of which has seen `deaths` workers die;
-- `suspects`: there are some (more) to claim like that.
CREATE OR REPLACE FUNCTION ateneo.claim(gen smallint, worker text, size int, lease interval, only_empresa text, after text, alone boolean,
  OUT copied bigint, OUT empresas text[], OUT ids text[], OUT textos text[], OUT attempts int[], OUT deaths int, OUT suspects boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE companies text[]; es text[]; tids text[]; hs bytea[]; tries int[];
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('ateneo.claim', gen));
  IF alone THEN
    SELECT l.es, l.ids, l.hs, l.tries, l.deaths INTO es, tids, hs, tries, claim.deaths
      FROM ateneo.lease_suspects(gen, worker, size, lease, only_empresa) l;
  ELSE
    companies := CASE WHEN only_empresa IS NULL THEN ARRAY(SELECT ateneo.waiting_companies(gen, after, size))
      WHEN NOT ateneo.over_budget(only_empresa) THEN ARRAY[only_empresa] ELSE '{}' END;
    SELECT l.es, l.ids, l.hs, l.tries INTO es, tids, hs, tries FROM ateneo.lease_rows(gen, worker, size, lease, companies) l;
  END IF;
  suspects := ateneo.suspects_wait(gen, only_empresa);
  copied := ateneo.settle_known(gen, es, tids, hs);
  SELECT array_agg(t.e ORDER BY t.place), array_agg(t.i ORDER BY t.place),
      array_agg(k.contenido::text ORDER BY t.place), array_agg(t.n ORDER BY t.place)
    INTO empresas, ids, textos, attempts
    FROM unnest(es, tids, tries) WITH ORDINALITY t(e, i, n, place)
    JOIN public.knowledge_chunks k ON k.id = t.i AND k.empresa_id = t.e AND ateneo.wants_vector(k.contenido)
    -- a value, not EXISTS: that could be hashed, with all of the queue
    WHERE copied = 0 OR (SELECT true FROM ateneo.embedding_queue q
      WHERE q.empresa_id = t.e AND q.chunk_id = t.i AND q.generation + 0 = gen LIMIT 1);
  -- what no trigger saw: rows whose chunk is gone, or wants no vector any more
  IF coalesce(cardinality(ids), 0) + copied < cardinality(tids) THEN
    DELETE FROM ateneo.embedding_queue q USING unnest(es, tids) t(e, i)
      WHERE q.empresa_id = t.e AND q.chunk_id = t.i AND q.generation + 0 = gen AND NOT EXISTS (
        SELECT FROM public.knowledge_chunks k WHERE k.id = t.i AND k.empresa_id = t.e AND ateneo.wants_vector(k.contenido));
  END IF;
END $$;

-- Of the rows given, with the hashes of their texts, those whose text the company has embedded already for another chunk get a
-- copy of that vector, and so do 2,000 of all that wait with the same texts: the next claims do the others. Returns how many were copied.
CREATE OR REPLACE FUNCTION ateneo.settle_known(gen smallint, empresas text[], ids text[], hashes bytea[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE es text[]; tids text[]; hs bytea[]; vs @vector@.vector[];
  legacy boolean := (SELECT g.legacy FROM ateneo.generation g WHERE g.generation = gen);
BEGIN
  EXECUTE format($q$
    WITH known AS MATERIALIZED (
      SELECT t.e, t.i, t.h, twin.v FROM unnest($1, $2, $4) t(e, i, h),
      -- by the text's hash first, whatever the planner thinks of a column that was empty when it was counted
      LATERAL (SELECT %s AS v FROM (SELECT c.chunk_id FROM ateneo.chunk_lex c
          WHERE c.empresa_id = t.e AND c.content_hash = t.h AND c.chunk_id <> t.i OFFSET 0) c,
        LATERAL (SELECT x.embedding FROM ateneo.vec_g%s x WHERE x.empresa_id = t.e AND x.chunk_id = c.chunk_id OFFSET 0) x,
        LATERAL (SELECT k.embedding FROM public.knowledge_chunks k WHERE k.id = c.chunk_id AND k.empresa_id = t.e OFFSET 0) k
        WHERE %s LIMIT 1) twin)
    SELECT array_agg(s.e), array_agg(s.i), array_agg(s.h), array_agg(s.v) FROM (
      SELECT * FROM known
      UNION ALL (SELECT k.e, o.chunk_id, k.h, k.v FROM known k, LATERAL (SELECT o.chunk_id FROM ateneo.embedding_queue o
        WHERE o.empresa_id = k.e AND o.content_hash = k.h AND o.generation + 0 = $3 AND o.chunk_id <> k.i) o LIMIT 2000)) s $q$,
    CASE WHEN legacy THEN 'k.embedding' ELSE 'x.embedding::@vector@.vector' END, gen,
    CASE WHEN legacy THEN 'k.embedding IS NOT NULL' ELSE 'true' END)
    INTO es, tids, hs, vs USING empresas, ids, gen, hashes;
  RETURN CASE WHEN cardinality(tids) > 0 THEN ateneo.store_embeddings(gen, es, tids, hs, vs) ELSE 0 END;
END $$;
