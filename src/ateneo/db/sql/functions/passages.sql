-- The company's passages by their ids, and single texts under ids of the caller's.

-- Those that the company has, in the order of the ids.
CREATE OR REPLACE FUNCTION ateneo.own_passages(p_empresa text, ids text[]) RETURNS TABLE (chunk_id text, document_id text, chunk_index int,
  contenido text, title text, source text, page int, headings text[], metadata jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE tenant text := ateneo.tenant(p_empresa); gone text[] := ateneo.withdrawn_of(tenant);
BEGIN
  RETURN QUERY SELECT k.id, k.document_id::text, k.chunk_index::int, k.contenido::text, d.title, d.source, m.page, coalesce(m.headings, '{}'),
      coalesce(d.metadata, '{}') || coalesce(m.metadata - '$page_breaks', '{}')
    FROM unnest(ids) WITH ORDINALITY AS asked(id, place)
    JOIN public.knowledge_chunks k ON k.empresa_id = tenant AND k.id = asked.id
    LEFT JOIN ateneo.chunk_meta m ON m.empresa_id = tenant AND m.chunk_id = k.id
    LEFT JOIN ateneo.document d ON d.empresa_id = tenant AND d.document_id = k.document_id::text
    WHERE k.contenido IS NOT NULL AND k.id <> ALL (gone)
    ORDER BY asked.place;
END $$;

-- What stands around each: up to `neighbours` chunks to each side, and with `section` those under the same headings, at most `reach` to
-- each side. Joined through the hit's own row: document_id keeps the type that an adopted table gives it, and an index is used.
-- Ordered by (chunk_index, id) and not counted by chunk_index: indexes may have gaps, or repeat.
CREATE OR REPLACE FUNCTION ateneo.own_passages_around(p_empresa text, ids text[], neighbours int, section boolean, reach int)
RETURNS TABLE (hit_id text, part text, chunk_id text, chunk_index int, contenido text, page int, headings text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE tenant text := ateneo.tenant(p_empresa); gone text[] := ateneo.withdrawn_of(tenant);
BEGIN
  RETURN QUERY
    WITH hit AS (
      SELECT k.id, k.document_id, k.chunk_index, coalesce(m.headings, '{}') AS headings
      FROM public.knowledge_chunks k LEFT JOIN ateneo.chunk_meta m ON m.empresa_id = tenant AND m.chunk_id = k.id
      WHERE k.empresa_id = tenant AND k.id = ANY (ids))
    SELECT hit.id, near.part, near.id, near.chunk_index::int, near.contenido::text, m.page, coalesce(m.headings, '{}')
    FROM hit CROSS JOIN LATERAL (
      (SELECT 'before' AS part, n.id, n.chunk_index, n.contenido FROM public.knowledge_chunks n
       WHERE n.empresa_id = tenant AND n.document_id = hit.document_id AND (n.chunk_index, n.id) < (hit.chunk_index, hit.id)
       ORDER BY n.chunk_index DESC, n.id DESC LIMIT neighbours)
      UNION ALL
      (SELECT 'after', n.id, n.chunk_index, n.contenido FROM public.knowledge_chunks n
       WHERE n.empresa_id = tenant AND n.document_id = hit.document_id AND (n.chunk_index, n.id) > (hit.chunk_index, hit.id)
       ORDER BY n.chunk_index, n.id LIMIT neighbours)
      UNION ALL
      (SELECT 'section', n.id, n.chunk_index, n.contenido FROM public.knowledge_chunks n
       LEFT JOIN ateneo.chunk_meta nm ON nm.empresa_id = tenant AND nm.chunk_id = n.id
       WHERE section AND n.empresa_id = tenant AND n.document_id = hit.document_id
         AND n.chunk_index BETWEEN hit.chunk_index - reach AND hit.chunk_index + reach
         AND coalesce(nm.headings, '{}') = hit.headings
       ORDER BY n.id <> hit.id, abs(n.chunk_index - hit.chunk_index), n.id LIMIT 2 * reach + 1)
    ) near LEFT JOIN ateneo.chunk_meta m ON m.empresa_id = tenant AND m.chunk_id = near.id
    WHERE near.contenido IS NOT NULL AND near.id <> ALL (gone)
    ORDER BY near.chunk_index, near.id;
END $$;

-- Whether the company has any chunk or document.
CREATE OR REPLACE FUNCTION ateneo.own_content_exists(p_empresa text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN EXISTS (SELECT FROM public.knowledge_chunks k WHERE k.empresa_id = tenant) OR EXISTS (SELECT FROM ateneo.document d WHERE d.empresa_id = tenant);
END $$;

-- Stores texts; one whose id the company has is replaced. Not ON CONFLICT, which needs a unique key that an adopted table may not have.
CREATE OR REPLACE FUNCTION ateneo.own_texts_write(p_empresa text, ids text[], textos text[], tokens int[], metadata jsonb[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa);
BEGIN
  WITH given AS (SELECT * FROM unnest(ids, textos, tokens) AS t(id, contenido, tokens)),
    known AS (UPDATE public.knowledge_chunks k SET contenido = g.contenido, tokens_count = g.tokens
      FROM given g WHERE k.empresa_id = tenant AND k.id = g.id AND (SELECT ateneo.users_names()) RETURNING k.id)
  INSERT INTO public.knowledge_chunks (id, empresa_id, chunk_index, contenido, tokens_count)
    SELECT g.id, tenant, 0, g.contenido, g.tokens FROM given g WHERE NOT EXISTS (SELECT FROM known WHERE known.id = g.id) AND (SELECT ateneo.users_names());
  PERFORM ateneo.own_names();
  INSERT INTO ateneo.chunk_meta AS m (empresa_id, chunk_id, metadata)
    SELECT tenant, t.id, t.metadata FROM unnest(ids, metadata) AS t(id, metadata)
    ON CONFLICT (empresa_id, chunk_id) DO UPDATE SET metadata = excluded.metadata;
END $$;

-- Deletes chunks, of documents too. Returns how many there were.
CREATE OR REPLACE FUNCTION ateneo.own_chunks_delete(p_empresa text, ids text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa); n bigint;
BEGIN
  DELETE FROM public.knowledge_chunks k WHERE k.empresa_id = tenant AND k.id = ANY (ids) AND (SELECT ateneo.users_names());
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;
