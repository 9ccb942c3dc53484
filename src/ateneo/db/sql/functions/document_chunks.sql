-- The chunks of one of the company's documents, in its order, for whoever looks at the document.
CREATE OR REPLACE FUNCTION ateneo.own_document_chunks(p_empresa text, p_document text, p_skip int, p_limit int)
RETURNS TABLE (chunk_id text, chunk_index int, contenido text, tokens_count int, page int, headings text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT k.id::text, k.chunk_index::int, k.contenido::text, k.tokens_count::int, m.page, coalesce(m.headings, '{}')
    FROM public.knowledge_chunks k LEFT JOIN ateneo.chunk_meta m ON m.empresa_id = tenant AND m.chunk_id = k.id
    WHERE k.empresa_id = tenant AND k.document_id = (jsonb_populate_record(NULL::public.knowledge_chunks,
        jsonb_build_object('document_id', p_document))).document_id
      AND k.contenido IS NOT NULL AND k.id <> ALL (ateneo.withdrawn_of(tenant))
    ORDER BY k.chunk_index, k.id OFFSET p_skip LIMIT p_limit;
END $$;
