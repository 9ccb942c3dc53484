-- The company's agents.

-- All of them.
CREATE OR REPLACE FUNCTION ateneo.own_agents(p_empresa text) RETURNS SETOF ateneo.agent
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT a.* FROM ateneo.agent a WHERE a.empresa_id = tenant;
END $$;

-- The one of that id, or another of the company's where there is none.
CREATE OR REPLACE FUNCTION ateneo.own_agent(p_empresa text, p_agent text) RETURNS SETOF ateneo.agent
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT a.* FROM ateneo.agent a WHERE a.empresa_id = tenant ORDER BY a.agent_id = p_agent DESC LIMIT 1;
END $$;

-- Stores it in the place of the company's agent of that id. Returns whether it is new.
CREATE OR REPLACE FUNCTION ateneo.own_agent_save(p_empresa text, p_agent jsonb) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa); a ateneo.agent := jsonb_populate_record(NULL::ateneo.agent, p_agent); is_new boolean;
BEGIN
  INSERT INTO ateneo.agent (empresa_id, agent_id, name, instructions, model, language, k, dense_weight, filter, context_tokens, answer_tokens, tools)
    VALUES (tenant, a.agent_id, a.name, a.instructions, a.model, a.language, a.k, a.dense_weight, a.filter, a.context_tokens, a.answer_tokens, a.tools)
    ON CONFLICT (empresa_id, agent_id) DO UPDATE SET name = a.name, instructions = a.instructions, model = a.model, language = a.language,
      k = a.k, dense_weight = a.dense_weight, filter = a.filter, context_tokens = a.context_tokens, answer_tokens = a.answer_tokens,
      tools = a.tools, updated_at = now() RETURNING xmax = 0 INTO is_new;
  RETURN is_new;
END $$;

-- Returns whether there was one. Its conversations stay.
CREATE OR REPLACE FUNCTION ateneo.own_agent_delete(p_empresa text, p_agent text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  DELETE FROM ateneo.agent a WHERE a.empresa_id = tenant AND a.agent_id = p_agent;
  RETURN FOUND;
END $$;
