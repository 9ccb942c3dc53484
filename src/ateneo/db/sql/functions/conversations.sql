-- The company's conversations.

CREATE OR REPLACE FUNCTION ateneo.own_conversation(p_empresa text, p_conversation text) RETURNS TABLE (conversation_id text, agent_id text, title text, summary text,
  summary_to int, created_at timestamptz, updated_at timestamptz, turns int, cost float8)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT c.conversation_id, c.agent_id, c.title, c.summary, c.summary_to, c.created_at, c.updated_at, t.turns::int, t.cost
    FROM ateneo.conversation c CROSS JOIN LATERAL (SELECT count(*) AS turns, sum(t.cost)::float8 AS cost FROM ateneo.turn t
      WHERE t.empresa_id = tenant AND t.conversation_id = c.conversation_id) t
    WHERE c.empresa_id = tenant AND c.conversation_id = p_conversation;
END $$;

-- The last used first, after the one that is given.
CREATE OR REPLACE FUNCTION ateneo.own_conversations(p_empresa text, p_after text, p_limit int) RETURNS TABLE (conversation_id text, agent_id text, title text, summary text,
  summary_to int, created_at timestamptz, updated_at timestamptz, turns int, cost float8)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT c.conversation_id, c.agent_id, c.title, c.summary, c.summary_to, c.created_at, c.updated_at, t.turns::int, t.cost
    FROM ateneo.conversation c CROSS JOIN LATERAL (SELECT count(*) AS turns, sum(t.cost)::float8 AS cost FROM ateneo.turn t
      WHERE t.empresa_id = tenant AND t.conversation_id = c.conversation_id) t
    WHERE c.empresa_id = tenant AND (p_after IS NULL OR (c.updated_at, c.conversation_id) <
      (SELECT l.updated_at, l.conversation_id FROM ateneo.conversation l WHERE l.empresa_id = tenant AND l.conversation_id = p_after))
    ORDER BY c.updated_at DESC, c.conversation_id DESC LIMIT p_limit;
END $$;

CREATE OR REPLACE FUNCTION ateneo.own_conversation_begin(p_empresa text, p_agent text, p_title text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa); made text;
BEGIN
  INSERT INTO ateneo.conversation AS c (empresa_id, agent_id, title) VALUES (tenant, p_agent, p_title) RETURNING c.conversation_id INTO made;
  RETURN made;
END $$;

-- Keeps the summary of the turns before p_to, unless one of more turns is there by now.
CREATE OR REPLACE FUNCTION ateneo.own_summary_keep(p_empresa text, p_conversation text, p_summary text, p_to int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  UPDATE ateneo.conversation c SET summary = p_summary, summary_to = p_to
    WHERE c.empresa_id = tenant AND c.conversation_id = p_conversation AND c.summary_to < p_to;
END $$;

-- With its turns. Returns whether there was one.
CREATE OR REPLACE FUNCTION ateneo.own_conversation_delete(p_empresa text, p_conversation text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  DELETE FROM ateneo.conversation c WHERE c.empresa_id = tenant AND c.conversation_id = p_conversation;
  RETURN FOUND;
END $$;

-- Deletes those that nobody used for so many days. Returns how many.
CREATE OR REPLACE FUNCTION ateneo.own_conversations_purge(p_empresa text, p_days int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa); n bigint;
BEGIN
  DELETE FROM ateneo.conversation c WHERE c.empresa_id = tenant AND c.updated_at < now() - make_interval(days => p_days);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;
