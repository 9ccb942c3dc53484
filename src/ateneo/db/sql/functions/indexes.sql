-- Upkeep of the search index: which companies have an HNSW index of their own, what there is to do, and the rebuild
-- from the chunks table. Everything here may be called from psql; the statements of ateneo.index_plan are for a session
-- outside any transaction, since CONCURRENTLY asks for that. docs/adr/0009-hnsw-per-company.md has the measurements.

-- hnsw.ef_search for the `k` nearest among `n` vectors, where maintenance has not found this company's own (the ADR's table).
CREATE OR REPLACE FUNCTION ateneo.ef_search(n bigint, k int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT least(1000, greatest(coalesce(k, 10), CASE WHEN n <= 50000 THEN 200 ELSE 400 END))
$$;

-- Names say nothing about whose index it is; predicates have to.
CREATE OR REPLACE FUNCTION ateneo.own_index_name(gen smallint, empresa text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT format('vec_g%s_own_%s', gen, left(md5(empresa), 16))
$$;

-- Bytes of the HNSW graph while it is built in memory (m = 16: 714 a vector beside the vector itself, measured at 64, 384
-- and 1,536 dimensions), a tenth more, and what the workers of a parallel build take.
CREATE OR REPLACE FUNCTION ateneo.graph_bytes(vectors bigint, dims int) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (vectors * (2 * dims + 714) * 1.1)::bigint + 8 * 1024 * 1024
$$;

-- Every HNSW index on a generation's partitions. `busy`: someone builds, or vacuums, on that partition right now.
CREATE OR REPLACE FUNCTION ateneo.own_indexes(gen smallint)
RETURNS TABLE (index_id oid, name text, leaf text, valid boolean, busy boolean, bytes bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT i.indexrelid, c.relname::text, t.relname::text, i.indisvalid,
    EXISTS (SELECT FROM pg_locks l WHERE l.relation = i.indrelid AND l.mode = 'ShareUpdateExclusiveLock'
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())),
    pg_relation_size(i.indexrelid)
  FROM pg_partition_tree(to_regclass(format('ateneo.vec_g%s', gen))) part
  JOIN pg_index i ON i.indrelid = part.relid
  JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam AND am.amname = 'hnsw'
  JOIN pg_class t ON t.oid = part.relid
$$;

-- One row a company with vectors. `churn`: the share of its graph whose rows were deleted or updated since it was built;
-- told by xmin, so writes pay nothing for it. (A build older than 2^31 transactions counts as churned.)
CREATE OR REPLACE FUNCTION ateneo.company_vectors(gen smallint)
RETURNS TABLE (empresa_id text, leaf text, vectors bigint, index_name text, index_bytes bigint, churn float8)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY EXECUTE format($q$
    WITH counted AS (
      SELECT v.empresa_id, v.tableoid, count(*) AS n FROM ateneo.vec_g%1$s v GROUP BY 1, 2),
    own AS MATERIALIZED (SELECT * FROM ateneo.own_indexes($1) WHERE valid)
    SELECT c.empresa_id, t.relname::text, c.n, own.name, own.bytes,
      CASE WHEN own.name IS NULL OR o.built_xid IS NULL THEN NULL
        WHEN (pg_snapshot_xmax(pg_current_snapshot())::text::numeric - o.built_xid::text::numeric) > 2147483647 THEN 1
        ELSE 1 - (SELECT count(*) FROM ateneo.vec_g%1$s v WHERE v.empresa_id = c.empresa_id
                  AND age(v.xmin) > age(o.built_xid::xid))::float8 / greatest(o.vectors, 1) END
    FROM counted c JOIN pg_class t ON t.oid = c.tableoid
    LEFT JOIN own ON own.name = ateneo.own_index_name($1, c.empresa_id)
    LEFT JOIN ateneo.own_index o ON o.generation = $1 AND o.empresa_id = c.empresa_id $q$, gen) USING gen;
END $$;

-- What there is to do, and the statement that does it. An index comes at `threshold` vectors and goes below half of
-- that; after a churn of `worn` it is built anew. INVALID ones that nobody is building are what interruptions left.
CREATE OR REPLACE FUNCTION ateneo.index_plan(gen smallint, threshold bigint DEFAULT 5000, worn float8 DEFAULT 0.2)
RETURNS TABLE (action text, empresa_id text, name text, leaf text, vectors bigint, graph_bytes bigint, statement text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH company AS MATERIALIZED (SELECT * FROM ateneo.company_vectors(gen)),
  found AS MATERIALIZED (SELECT * FROM ateneo.own_indexes(gen)),
  wanted AS (
    SELECT 'clean' AS action, NULL AS empresa_id, f.name, f.leaf, 0::bigint AS vectors FROM found f WHERE NOT f.valid AND NOT f.busy
    UNION ALL
    SELECT 'drop', c.empresa_id, f.name, f.leaf, coalesce(c.vectors, 0) FROM found f
      LEFT JOIN company c ON c.index_name = f.name
      WHERE f.valid AND coalesce(c.vectors, 0) * 2 < threshold
    UNION ALL
    SELECT 'reindex', c.empresa_id, c.index_name, c.leaf, c.vectors FROM company c
      WHERE c.churn >= worn AND c.vectors * 2 >= threshold
    UNION ALL
    SELECT 'create', c.empresa_id, ateneo.own_index_name(gen, c.empresa_id), c.leaf, c.vectors FROM company c
      WHERE c.vectors >= threshold AND to_regclass('ateneo.' || ateneo.own_index_name(gen, c.empresa_id)) IS NULL)
  SELECT w.action, w.empresa_id, w.name, w.leaf, w.vectors,
    ateneo.graph_bytes(w.vectors, (SELECT g.dims FROM ateneo.generation g WHERE g.generation = gen)),
    CASE w.action
      WHEN 'create' THEN format('CREATE INDEX CONCURRENTLY %I ON ateneo.%I USING hnsw (embedding @vector@.halfvec_cosine_ops)'
        ' WITH (ef_construction = 200) WHERE empresa_id = %L', w.name, w.leaf, w.empresa_id)
      WHEN 'reindex' THEN format('REINDEX INDEX CONCURRENTLY ateneo.%I', w.name)
      ELSE format('DROP INDEX CONCURRENTLY ateneo.%I', w.name) END
  FROM wanted w ORDER BY array_position(ARRAY['clean', 'drop', 'reindex', 'create'], w.action), w.vectors DESC, w.name
$$;

-- Companies with an index of their own for which so much waits that it had better be dropped and built anew behind the fill:
-- `share` of the vectors that it holds. `waiting` is at most `most`, what the fill is to do. A row of own_index stays behind
-- the index: it says that one was there and is to come back.
CREATE OR REPLACE FUNCTION ateneo.indexes_outgrown(gen smallint, share float8, p_empresa text DEFAULT NULL, most bigint DEFAULT NULL)
RETURNS TABLE (empresa_id text, name text, leaf text, vectors bigint, waiting bigint, statement text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  FOR empresa_id, name, leaf, vectors IN
    SELECT o.empresa_id, f.name, f.leaf, o.vectors FROM ateneo.own_index o
    JOIN ateneo.own_indexes(gen) f ON f.valid AND f.name = ateneo.own_index_name(gen, o.empresa_id)
    WHERE o.generation = gen AND (p_empresa IS NULL OR o.empresa_id = p_empresa) ORDER BY o.empresa_id
  LOOP
    -- no farther than to the first figure that says no: workers ask often
    SELECT count(*) INTO waiting FROM (SELECT FROM ateneo.embedding_queue q WHERE q.generation = gen
      AND q.empresa_id = indexes_outgrown.empresa_id AND q.state = 'pending' LIMIT ceil(share * vectors)) few;
    CONTINUE WHEN least(waiting, most) < share * vectors OR ateneo.over_budget(empresa_id);
    EXECUTE format('SELECT count(*) FROM ateneo.vec_g%s v WHERE v.empresa_id = $1', gen) INTO vectors USING empresa_id;
    SELECT count(*) INTO waiting FROM ateneo.embedding_queue q WHERE q.generation = gen
      AND q.empresa_id = indexes_outgrown.empresa_id AND q.state = 'pending';
    waiting := least(waiting, most);
    CONTINUE WHEN waiting < share * vectors;
    statement := format('DROP INDEX CONCURRENTLY IF EXISTS ateneo.%I', name);
    RETURN NEXT;
  END LOOP;
END $$;

-- The names of the indexes that were there and are not now: dropped for a fill, or a build that did not end.
CREATE OR REPLACE FUNCTION ateneo.indexes_set_aside(gen smallint) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT ateneo.own_index_name(gen, o.empresa_id) FROM ateneo.own_index o WHERE o.generation = gen
    AND NOT EXISTS (SELECT FROM ateneo.own_indexes(gen) f WHERE f.valid AND f.name = ateneo.own_index_name(gen, o.empresa_id))
$$;

-- To be called before a graph is built: from here on its churn is counted.
CREATE OR REPLACE FUNCTION ateneo.note_build(gen smallint, empresa text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE n bigint;
BEGIN
  EXECUTE format('SELECT count(*) FROM ateneo.vec_g%s WHERE empresa_id = $1', gen) INTO n USING empresa;
  INSERT INTO ateneo.own_index (generation, empresa_id, vectors, built_xid)
    VALUES (gen, empresa, n, pg_snapshot_xmax(pg_current_snapshot()))
    ON CONFLICT (generation, empresa_id) DO UPDATE
      SET vectors = excluded.vectors, built_xid = excluded.built_xid, built_at = now(), ef_search = NULL;
END $$;

-- The index that a search of this company uses; NULL where it reads all of the company's vectors. The statement is the
-- dense leg of ateneo.search, planned in the same way: random_page_cost is 1.1 because at the default of 4, meant for
-- disks that turn, the planner prefers the exact scan to a graph of two to three times the threshold.
CREATE OR REPLACE FUNCTION ateneo.knn_index(gen smallint, empresa text, pool int DEFAULT 100) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET hnsw.ef_search = 40 SET random_page_cost = 1.1 AS $$
DECLARE d int; plan jsonb; used text;
BEGIN
  SELECT g.dims INTO d FROM ateneo.generation g WHERE g.generation = gen;
  PERFORM ateneo.set_ef_search(gen, empresa, pool);
  EXECUTE format('EXPLAIN (FORMAT JSON) SELECT v.chunk_id, v.embedding OPERATOR(@vector@.<=>) $1 AS dist FROM ateneo.vec_g%s v
      WHERE v.empresa_id = $2 AND $1 IS NOT NULL ORDER BY v.embedding OPERATOR(@vector@.<=>) $1 LIMIT $3', gen)
    INTO plan USING array_fill(1::real, ARRAY[d])::@vector@.halfvec, empresa, pool;
  SELECT x #>> '{}' INTO used FROM jsonb_path_query(plan, 'strict $.**."Index Name"') x
    WHERE x #>> '{}' IN (SELECT name FROM ateneo.own_indexes(gen)) LIMIT 1;
  RETURN used;
END $$;

-- Sets hnsw.ef_search for the transaction, as search() does; a caller with a SET clause of its own gets it back at its end.
CREATE OR REPLACE FUNCTION ateneo.set_ef_search(gen smallint, empresa text, pool int) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM set_config('hnsw.ef_search', least(1000, greatest(pool, coalesce(
    (SELECT o.ef_search FROM ateneo.own_index o WHERE o.generation = gen AND o.empresa_id = empresa),
    ateneo.ef_search((SELECT s.n FROM ateneo.tenant_stats s WHERE s.empresa_id = empresa), pool))))::text, true);
END $$;

-- What maintenance found to suffice for this company's graph.
CREATE OR REPLACE FUNCTION ateneo.keep_ef_search(gen smallint, empresa text, ef int) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE ateneo.own_index o SET ef_search = ef WHERE o.generation = gen AND o.empresa_id = empresa
$$;

-- How many of the `k` nearest a search finds. `flat` holds the queries end to end, each of the generation's dimensions.
-- Found is what is no farther than the k-th nearest of the exact scan, so that twins do not count as misses. `ef`: with
-- another hnsw.ef_search than search() takes.
DROP FUNCTION IF EXISTS ateneo.recall_of(smallint, text, real[], int, int);
CREATE OR REPLACE FUNCTION ateneo.recall_of(gen smallint, empresa text, flat real[], k int DEFAULT 10, pool int DEFAULT 100,
  ef int DEFAULT NULL, OUT hits bigint, OUT expected bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET hnsw.ef_search = 40 SET hnsw.iterative_scan = 'strict_order' SET random_page_cost = 1.1 AS $$
DECLARE d int; q @vector@.halfvec; near float8[]; got float8[];
BEGIN
  SELECT g.dims INTO d FROM ateneo.generation g WHERE g.generation = gen;
  PERFORM ateneo.set_ef_search(gen, empresa, pool);
  IF ef IS NOT NULL THEN PERFORM set_config('hnsw.ef_search', ef::text, true); END IF;
  hits := 0; expected := 0;
  FOR i IN 0 .. cardinality(flat) / d - 1 LOOP
    q := @vector@.l2_normalize(flat[i * d + 1 : (i + 1) * d]::@vector@.vector)::@vector@.halfvec;
    -- the + 0 hides the order from every index
    EXECUTE format('SELECT array_agg(dist ORDER BY dist) FROM (SELECT v.embedding OPERATOR(@vector@.<=>) $1 AS dist
        FROM ateneo.vec_g%s v WHERE v.empresa_id = $2 ORDER BY (v.embedding OPERATOR(@vector@.<=>) $1) + 0 LIMIT $3) n', gen)
      INTO near USING q, empresa, k;
    EXECUTE format('SELECT array_agg(dist ORDER BY dist) FROM (SELECT v.embedding OPERATOR(@vector@.<=>) $1 AS dist
        FROM ateneo.vec_g%s v WHERE v.empresa_id = $2 AND $1 IS NOT NULL
        ORDER BY v.embedding OPERATOR(@vector@.<=>) $1 LIMIT $3) n', gen)
      INTO got USING q, empresa, pool;
    expected := expected + coalesce(cardinality(near), 0);
    hits := hits + (SELECT count(*) FROM unnest(got[1:k]) g WHERE g <= near[cardinality(near)] + 1e-9);
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION ateneo.sample_vectors(gen smallint, empresa text, sample int) RETURNS SETOF real[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY EXECUTE format('SELECT v.embedding::real[] FROM ateneo.vec_g%1$s v WHERE v.empresa_id = $1
    AND v.chunk_id = ANY (ARRAY(SELECT c.chunk_id FROM ateneo.vec_g%1$s c WHERE c.empresa_id = $1 ORDER BY random() LIMIT $2))',
    gen) USING empresa, sample;
END $$;

-- Term statistics that are a day old, or that no longer fit: the number of chunks has moved by half, or their average
-- length (which is baked into the weights) has left x0.67..1.5; or the company has no chunk left, and still its words.
CREATE OR REPLACE FUNCTION ateneo.stale_statistics(OUT empresa_id text, OUT chunks bigint, OUT avgdl float8, OUT misfit boolean)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT now.empresa_id, now.n, now.avgdl, now.misfit FROM (
    SELECT coalesce(c.empresa_id, s.empresa_id) AS empresa_id, coalesce(c.n, 0) AS n, coalesce(c.avgdl, 1) AS avgdl, s.built_at,
      c.n IS NULL OR s.n IS NULL OR c.n NOT BETWEEN s.n * 0.67 AND s.n * 1.5
        OR c.avgdl NOT BETWEEN s.avgdl * 0.67 AND s.avgdl * 1.5 AS misfit
    FROM (SELECT l.empresa_id, count(*) AS n, greatest(avg(l.dl), 1)::float8 AS avgdl FROM ateneo.chunk_lex l GROUP BY 1) c
    FULL JOIN ateneo.tenant_stats s ON s.empresa_id = c.empresa_id
    WHERE c.n IS NOT NULL OR s.n > 0) now
  WHERE now.misfit OR now.built_at < now() - interval '1 day'
$$;

-- `ateneo index status`: one row a company, largest first.
CREATE OR REPLACE FUNCTION ateneo.index_status(gen smallint)
RETURNS TABLE (empresa_id text, chunks bigint, vectors bigint, index_name text, index_bytes bigint, churn float8,
  stats_chunks int, stats_avgdl float8, avgdl float8, stats_built_at text, stats_stale boolean,
  recall float8, recall_k int, recall_at text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH words AS (
    SELECT c.empresa_id, count(*) AS n, avg(c.dl)::float8 AS avgdl FROM ateneo.chunk_lex c GROUP BY 1)
  SELECT coalesce(w.empresa_id, v.empresa_id), coalesce(w.n, 0), coalesce(v.vectors, 0), v.index_name,
    coalesce(v.index_bytes, 0), v.churn, s.n, s.avgdl, coalesce(w.avgdl, 0), to_char(s.built_at, 'YYYY-MM-DD"T"HH24:MI:SSOF'),
    EXISTS (SELECT FROM ateneo.stale_statistics() x WHERE x.empresa_id = w.empresa_id AND x.misfit),
    r.recall, r.k, to_char(r.measured_at, 'YYYY-MM-DD"T"HH24:MI:SSOF')
  FROM words w FULL JOIN ateneo.company_vectors(gen) v ON v.empresa_id = w.empresa_id
  LEFT JOIN ateneo.tenant_stats s ON s.empresa_id = w.empresa_id
  LEFT JOIN ateneo.recall_measured r ON r.generation = gen AND r.empresa_id = v.empresa_id
  ORDER BY 2 DESC, 1
$$;

CREATE OR REPLACE FUNCTION ateneo.index_parts() RETURNS TABLE (name text, rows bigint, table_bytes bigint, index_bytes bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT r.relname::text, sum(greatest(pg_stat_get_live_tuples(c.oid), c.reltuples::bigint, 0))::bigint, sum(pg_table_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint
  FROM pg_class r JOIN pg_class c ON c.oid = r.oid OR c.oid IN (SELECT t.relid FROM pg_partition_tree(r.oid) t)
  WHERE r.relnamespace = to_regnamespace('ateneo')
    AND (r.relname IN ('chunk_lex', 'term_stats', 'tenant_stats', 'chunk_meta')
      OR r.relname IN (SELECT format('vec_g%s', g.generation) FROM ateneo.generation g))
  GROUP BY 1 ORDER BY 1
$$;
