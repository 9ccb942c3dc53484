-- Jobs (docs/adr/0055-jobs.md): what a company asks and does for itself, and the claim, which crosses companies.

-- A new job of the tenant's; `worker`: the process that works on it at once, NULL: whoever claims it. Its original is stored.
CREATE OR REPLACE FUNCTION ateneo.own_add_job(p_empresa text, p_sha256 bytea, p_bytes bigint, p_source text, p_document text, p_asked jsonb, p_arrival bigint,
  p_priority int, p_most_attempts int, worker text, lease interval) RETURNS SETOF ateneo.job
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  PERFORM FROM ateneo.original o WHERE o.empresa_id = tenant AND o.sha256 = p_sha256 FOR SHARE;
  IF NOT FOUND THEN RAISE EXCEPTION 'ateneo: a job has an original' USING ERRCODE = 'foreign_key_violation'; END IF;
  RETURN QUERY INSERT INTO ateneo.job (empresa_id, sha256, bytes, source, document_id, asked, arrival, priority, most_attempts, leased_by,
      lease_until, attempts, started_at)
    SELECT tenant, p_sha256, p_bytes, p_source, p_document, p_asked, p_arrival, p_priority, p_most_attempts, worker,
      now() + CASE WHEN worker IS NOT NULL THEN lease END, (worker IS NOT NULL)::int, CASE WHEN worker IS NOT NULL THEN now() END
    RETURNING *;
END $$;

-- The tenant's open jobs, and the bytes that they hold.
CREATE OR REPLACE FUNCTION ateneo.own_open_jobs(p_empresa text, OUT jobs bigint, OUT bytes bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  SELECT count(*), coalesce(sum(j.bytes), 0) INTO jobs, bytes FROM ateneo.job j WHERE j.empresa_id = tenant AND j.ended_at IS NULL;
END $$;

CREATE OR REPLACE FUNCTION ateneo.own_job(p_empresa text, p_job text) RETURNS SETOF ateneo.job
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT * FROM ateneo.job j WHERE j.empresa_id = tenant AND j.job_id = p_job;
END $$;

-- A page of them, the newest first, after the job `after`; of some states, or all.
CREATE OR REPLACE FUNCTION ateneo.own_jobs(p_empresa text, states text[], after text, most int) RETURNS SETOF ateneo.job
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT * FROM ateneo.job j WHERE j.empresa_id = tenant AND (states IS NULL OR j.state = ANY (states))
    AND (after IS NULL OR j.arrival < (SELECT a.arrival FROM ateneo.job a WHERE a.empresa_id = tenant AND a.job_id = after))
    ORDER BY j.arrival DESC LIMIT most;
END $$;

-- Of a file of a folder: the open bulk job of these bytes, of a process that was interrupted.
CREATE OR REPLACE FUNCTION ateneo.own_open_job(p_empresa text, p_sha256 bytea, p_origin text, p_external text) RETURNS SETOF ateneo.job
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT * FROM ateneo.job j WHERE j.empresa_id = tenant AND j.sha256 = p_sha256 AND j.ended_at IS NULL
    AND NOT j.cancel AND j.asked ->> 'origin' = p_origin AND j.asked ->> 'external_id' = p_external ORDER BY j.arrival DESC LIMIT 1;
END $$;

-- Takes up an open job of the tenant's that no process has in hand, or one that has died.
CREATE OR REPLACE FUNCTION ateneo.own_take_job(p_empresa text, p_job text, worker text, lease interval) RETURNS SETOF ateneo.job
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  RETURN QUERY UPDATE ateneo.job j SET deaths = j.deaths + (j.leased_by IS NOT NULL)::int, leased_by = worker, lease_until = now() + lease,
      attempts = j.attempts + 1, started_at = coalesce(j.started_at, now()), updated_at = now()
    WHERE j.empresa_id = tenant AND j.job_id = p_job AND j.ended_at IS NULL AND NOT j.cancel AND (j.leased_by IS NULL OR j.lease_until < now())
    RETURNING *;
END $$;

-- Says how far it is, and renews the lease. Returns whether to go on; NULL: it is no longer this process's.
CREATE OR REPLACE FUNCTION ateneo.own_renew_job(p_empresa text, p_job text, worker text, lease interval, p_state text, p_chunks int, p_embedded int) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa); cancelled boolean;
BEGIN
  UPDATE ateneo.job j SET lease_until = now() + lease, state = coalesce(p_state, j.state), chunks = coalesce(p_chunks, j.chunks),
      embedded = coalesce(p_embedded, j.embedded), updated_at = CASE WHEN p_state IS NULL THEN j.updated_at ELSE now() END
    WHERE j.empresa_id = tenant AND j.job_id = p_job AND j.leased_by = worker AND j.ended_at IS NULL RETURNING j.cancel INTO cancelled;
  RETURN NOT cancelled;
END $$;

-- Ends a job that this process has in hand: stored, or failed with what is said of it. Returns it.
CREATE OR REPLACE FUNCTION ateneo.own_end_job(p_empresa text, p_job text, worker text, p_state text, p_document text, p_status text, p_chunks int,
  code text, message text, remedy text) RETURNS SETOF ateneo.job
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  RETURN QUERY UPDATE ateneo.job j SET state = p_state, ended_at = now(), updated_at = now(), leased_by = NULL, lease_until = NULL,
      document_id = coalesce(p_document, j.document_id), status = p_status, chunks = coalesce(p_chunks, j.chunks),
      embedded = CASE WHEN p_state = 'ready' THEN coalesce(p_chunks, j.chunks, 0) ELSE j.embedded END,
      error_code = code, error_message = message, error_remedy = remedy
    WHERE j.empresa_id = tenant AND j.job_id = p_job AND j.leased_by = worker AND j.ended_at IS NULL RETURNING *;
END $$;

-- Gives a job back, to be tried again after a while; not counted: nothing was tried.
CREATE OR REPLACE FUNCTION ateneo.own_release_job(p_empresa text, p_job text, worker text, wait interval, counted boolean, code text, message text, remedy text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  UPDATE ateneo.job j SET state = 'queued', updated_at = now(), leased_by = NULL, lease_until = NULL, next_try_at = now() + wait,
      attempts = j.attempts - (NOT counted)::int, error_code = code, error_message = message, error_remedy = remedy
    WHERE j.empresa_id = tenant AND j.job_id = p_job AND j.leased_by = worker AND j.ended_at IS NULL AND NOT j.cancel;
  IF NOT FOUND THEN PERFORM ateneo.own_end_job(p_empresa, p_job, worker, 'cancelled', NULL, NULL, NULL, NULL, NULL, NULL); END IF;
END $$;

-- What is in hand is told to stop, by its next renewal; the rest ends here.
CREATE OR REPLACE FUNCTION ateneo.cancel_open_jobs(p_empresa text, jobs text[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  UPDATE ateneo.job j SET cancel = true, updated_at = now(),
      state = CASE WHEN j.leased_by IS NULL THEN 'cancelled' ELSE j.state END, ended_at = CASE WHEN j.leased_by IS NULL THEN now() END
    WHERE j.empresa_id = p_empresa AND j.job_id = ANY (jobs) AND j.ended_at IS NULL
$$;

CREATE OR REPLACE FUNCTION ateneo.own_cancel_job(p_empresa text, p_job text) RETURNS SETOF ateneo.job
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  PERFORM ateneo.cancel_open_jobs(tenant, ARRAY[p_job]);
  RETURN QUERY SELECT * FROM ateneo.job j WHERE j.empresa_id = tenant AND j.job_id = p_job;
END $$;

-- Tries a failed one again, from the beginning; one that waits for its next try is tried at once. The others stay as they are.
CREATE OR REPLACE FUNCTION ateneo.own_retry_job(p_empresa text, p_job text, tries int) RETURNS SETOF ateneo.job
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  UPDATE ateneo.job j SET state = 'queued', ended_at = NULL, next_try_at = now(), attempts = 0, most_attempts = tries, deaths = 0, cancel = false,
      chunks = NULL, embedded = 0, error_code = NULL, error_message = NULL, error_remedy = NULL, updated_at = now()
    WHERE j.empresa_id = tenant AND j.job_id = p_job AND j.leased_by IS NULL AND (j.state = 'failed' OR j.ended_at IS NULL);
  RETURN QUERY SELECT * FROM ateneo.job j WHERE j.empresa_id = tenant AND j.job_id = p_job;
END $$;

-- The worker's: what became of jobs whose process has died. After `most` deaths they fail, with the words given. Returns how many wait now for a process to themselves.
CREATE OR REPLACE FUNCTION ateneo.settle_dead_jobs(most int, message text, remedy text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  WITH lost AS (
    SELECT j.empresa_id, j.job_id, NOT j.cancel AND j.deaths + 1 >= most AS fatal FROM ateneo.job j
    WHERE j.leased_by IS NOT NULL AND j.lease_until < now() FOR UPDATE SKIP LOCKED)
  UPDATE ateneo.job j SET deaths = j.deaths + 1, leased_by = NULL, lease_until = NULL, next_try_at = now(), updated_at = now(),
      state = CASE WHEN j.cancel THEN 'cancelled' WHEN lost.fatal THEN 'failed' ELSE 'queued' END,
      ended_at = CASE WHEN j.cancel OR lost.fatal THEN now() END, error_code = CASE WHEN lost.fatal THEN 'job-killed' END,
      error_message = CASE WHEN lost.fatal THEN message END, error_remedy = CASE WHEN lost.fatal THEN remedy END
    FROM lost WHERE j.empresa_id = lost.empresa_id AND j.job_id = lost.job_id;
  RETURN (SELECT count(*) FROM ateneo.job j WHERE j.ended_at IS NULL AND j.deaths > 0 AND j.leased_by IS NULL AND j.next_try_at <= now());
END $$;

-- The worker's: the next job. What people wait for before bulk; of that the company after `after`, around; of its jobs the oldest. `alone`:
-- one that a process died of, for a process that has nothing else in hand.
CREATE OR REPLACE FUNCTION ateneo.claim_job(worker text, lease interval, after text, alone boolean) RETURNS SETOF ateneo.job
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE company text; wrapped boolean;
BEGIN
  FOR urgency IN 0..1 LOOP
    company := after;
    wrapped := after IS NULL;
    LOOP
      company := (SELECT j.empresa_id FROM ateneo.job j WHERE j.ended_at IS NULL AND j.priority = urgency AND j.empresa_id > coalesce(company, '')
        ORDER BY j.empresa_id LIMIT 1);
      IF company IS NULL THEN
        EXIT WHEN wrapped;
        wrapped := true;
        CONTINUE;
      END IF;
      EXIT WHEN wrapped AND after IS NOT NULL AND company > after;
      RETURN QUERY UPDATE ateneo.job j SET leased_by = worker, lease_until = now() + lease, attempts = j.attempts + 1,
          started_at = coalesce(j.started_at, now()), updated_at = now()
        WHERE (j.empresa_id, j.job_id) = (SELECT o.empresa_id, o.job_id FROM ateneo.job o
          WHERE o.ended_at IS NULL AND o.priority = urgency AND o.empresa_id = company AND o.leased_by IS NULL AND o.next_try_at <= now()
            AND (o.deaths > 0) = alone ORDER BY o.arrival LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING *;
      IF FOUND THEN RETURN; END IF;
    END LOOP;
  END LOOP;
END $$;

-- The worker's: forgets what ended before that.
CREATE OR REPLACE FUNCTION ateneo.forget_jobs(kept interval) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH gone AS (DELETE FROM ateneo.job j WHERE j.ended_at < now() - kept RETURNING 1) SELECT count(*) FROM gone
$$;
