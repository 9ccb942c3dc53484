-- What the company's people asked: searches that are kept, and questions of conversations.

-- Keeps them for so many days; forgets what has had its time, or is more than p_most.
CREATE OR REPLACE FUNCTION ateneo.own_queries_keep(p_empresa text, p_queries jsonb, p_days int, p_most int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  INSERT INTO ateneo.kept_query AS kept (empresa_id, query_hash, query, until, times, found, best)
    SELECT tenant, sha256(convert_to(q.query, 'UTF8')), q.query, now() + make_interval(days => p_days), q.times, q.found, q.best
    FROM jsonb_populate_recordset(NULL::ateneo.kept_query, p_queries) q ORDER BY 2
    ON CONFLICT (empresa_id, query_hash) DO UPDATE SET at = now(), until = excluded.until,
      times = kept.times + excluded.times, found = excluded.found, best = excluded.best;
  DELETE FROM ateneo.kept_query q WHERE q.empresa_id = tenant AND (q.until < now() OR q.query_hash IN
    (SELECT o.query_hash FROM ateneo.kept_query o WHERE o.empresa_id = tenant ORDER BY o.at DESC, o.query_hash OFFSET p_most));
END $$;

-- The last p_most questions of so many days, the last first: of conversations with their answers' states, of searches with
-- what they found.
CREATE OR REPLACE FUNCTION ateneo.own_questions(p_empresa text, p_days int, p_most int) RETURNS TABLE (question text, at timestamptz,
  times int, conversation_id text, state text, rating int, cited boolean, found int, best float8)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE tenant text := ateneo.tenant(p_empresa); since timestamptz := now() - make_interval(days => p_days);
BEGIN
  RETURN QUERY SELECT btrim(coalesce(t.queries[1], t.question)) AS question, t.created_at AS at, 1, t.conversation_id, t.state,
      t.rating::int, t.citations <> '[]', NULL::int, NULL::float8
    FROM ateneo.turn t WHERE t.empresa_id = tenant AND t.created_at > since
    UNION ALL SELECT btrim(q.query), q.at, q.times, NULL, NULL, NULL, false, q.found, q.best
    FROM ateneo.kept_query q WHERE q.empresa_id = tenant AND q.until > now() AND q.at > since
    ORDER BY at DESC, question LIMIT p_most;
END $$;
