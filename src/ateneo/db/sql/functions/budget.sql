-- How many texts more a company may be claimed, so that its budget of this month is met within a text or so: no more are in hand
-- than half of those that it can pay at what its texts have cost so far, rounded up; the nearer the end, the better that is
-- known. Twenty show at first what that is. NULL: no budget, or texts that cost nothing.
-- What is in hand is among the oldest that wait, because claims begin there.
CREATE OR REPLACE FUNCTION ateneo.affordable(p_empresa text, gen smallint) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN paid.n IS NOT NULL THEN greatest(0, ceil(paid.n / 2) - hand.n)::bigint END
  FROM ateneo.embedding_budget b,
    LATERAL (SELECT coalesce(sum(u.texts), 0) AS texts, coalesce(sum(u.tokens), 0) AS tokens, coalesce(sum(u.usd), 0) AS usd
      FROM ateneo.embedding_usage u
      WHERE u.empresa_id = b.empresa_id AND u.day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date) spent,
    LATERAL (SELECT CASE WHEN spent.texts < 20 THEN 20 ELSE least(
      (b.tokens - spent.tokens) / nullif(spent.tokens::float8 / spent.texts, 0),
      (b.usd - spent.usd) / nullif(spent.usd / spent.texts, 0)) END AS n) paid,
    LATERAL (SELECT count(*) FILTER (WHERE head.lease_until >= now()) AS n FROM (
      SELECT q.lease_until FROM ateneo.embedding_queue q WHERE q.generation = gen AND q.empresa_id = p_empresa AND q.state = 'pending'
      ORDER BY q.queued_at LIMIT 5000) head) hand
  WHERE b.empresa_id = p_empresa
$$;
