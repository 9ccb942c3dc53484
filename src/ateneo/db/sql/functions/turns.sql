-- The turns of the company's conversations: a question, its answer, what it cost, and what somebody thought of it.

-- From a position on.
CREATE OR REPLACE FUNCTION ateneo.own_turns(p_empresa text, p_conversation text, p_since int) RETURNS SETOF ateneo.turn
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT t.* FROM ateneo.turn t WHERE t.empresa_id = tenant AND t.conversation_id = p_conversation AND t.position >= p_since
    ORDER BY t.position;
END $$;

-- Adds one. Returns its position; NULL where there is no such conversation. What it cost is never changed afterwards.
CREATE OR REPLACE FUNCTION ateneo.own_turn_add(p_empresa text, p_conversation text, p_turn jsonb) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa); n ateneo.turn := jsonb_populate_record(NULL::ateneo.turn, p_turn);
BEGIN
  IF least(n.input_tokens, n.output_tokens, n.cache_read_tokens, n.cache_write_tokens, n.cost) < 0 OR n.cost = 'NaN' THEN
    RAISE EXCEPTION 'ateneo: that is no cost' USING ERRCODE = 'check_violation', SCHEMA = 'ateneo';
  END IF;
  -- the row's lock makes two turns at once take two positions
  UPDATE ateneo.conversation c SET updated_at = now() WHERE c.empresa_id = tenant AND c.conversation_id = p_conversation;
  IF NOT FOUND THEN RETURN NULL; END IF;
  n.position := (SELECT coalesce(max(t.position) + 1, 0) FROM ateneo.turn t WHERE t.empresa_id = tenant AND t.conversation_id = p_conversation);
  INSERT INTO ateneo.turn (empresa_id, conversation_id, position, question, answer, state, queries, passages, citations, claims, citations_dropped,
      provider, model, stop_reason, error, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost, latency_ms, first_text_ms)
    VALUES (tenant, p_conversation, n.position, n.question, n.answer, n.state, n.queries, n.passages, n.citations, n.claims, n.citations_dropped,
      n.provider, n.model, n.stop_reason, n.error, n.input_tokens, n.output_tokens, n.cache_read_tokens, n.cache_write_tokens, n.cost,
      n.latency_ms, n.first_text_ms);
  RETURN n.position;
END $$;

-- The positions of the turns that were answered from a passage that is not within the filter now, or is gone.
CREATE OR REPLACE FUNCTION ateneo.own_turns_outside(p_empresa text, p_conversation text, p_filter jsonb) RETURNS SETOF int
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa); withdrawn text[] := ateneo.withdrawn_of(tenant);
BEGIN
  RETURN QUERY SELECT DISTINCT t.position FROM ateneo.turn t CROSS JOIN unnest(t.passages) given (chunk_id)
    LEFT JOIN public.knowledge_chunks r ON r.empresa_id = tenant AND r.id = given.chunk_id AND r.id <> ALL (withdrawn)
    LEFT JOIN ateneo.document doc ON doc.empresa_id = tenant AND doc.document_id = r.document_id::text
    LEFT JOIN ateneo.chunk_meta meta ON meta.empresa_id = tenant AND meta.chunk_id = r.id
    WHERE t.empresa_id = tenant AND t.conversation_id = p_conversation AND (r.id IS NOT NULL AND
      coalesce(doc.metadata, '{}') || coalesce(meta.metadata, '{}') || jsonb_build_object(
        'document_id', r.document_id, 'chunk_index', r.chunk_index, 'source', doc.source, 'title', doc.title,
        'mime', doc.mime, 'page', meta.page, 'created_at', doc.created_at) @@ ateneo.filter_path(p_filter)) IS NOT TRUE;
END $$;

-- Keeps what somebody thought of it, in the place of what was kept. Returns whether there is such a turn.
CREATE OR REPLACE FUNCTION ateneo.own_turn_rate(p_empresa text, p_conversation text, p_position int, p_rating int, p_comment text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  UPDATE ateneo.turn t SET rating = p_rating, comment = p_comment
    WHERE t.empresa_id = tenant AND t.conversation_id = p_conversation AND t.position = p_position;
  RETURN FOUND;
END $$;

-- Those that were rated, oldest first, with the agent, and id and source of each document that they cite.
CREATE OR REPLACE FUNCTION ateneo.own_rated_turns(p_empresa text) RETURNS TABLE (turn ateneo.turn, agent_id text, sources text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT t, c.agent_id, ARRAY(SELECT d.document_id || E'\x1f' || d.source FROM ateneo.document d
      WHERE d.empresa_id = tenant AND d.document_id IN (SELECT e ->> 'document_id' FROM jsonb_array_elements(t.citations) e))
    FROM ateneo.turn t JOIN ateneo.conversation c ON c.empresa_id = tenant AND c.conversation_id = t.conversation_id
    WHERE t.empresa_id = tenant AND t.rating IS NOT NULL ORDER BY t.created_at, t.conversation_id, t.position;
END $$;
