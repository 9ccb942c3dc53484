-- The index of ids that Ateneo's own chunks table has names the company, too: with the id alone, the pages that a look-up of
-- another company's id reads told that it exists (docs/adr/0050-functions-in-place-of-tables.md). An adopted table keeps its own.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'id'
      WHERE i.indexrelid = to_regclass('public.knowledge_chunks_id') AND i.indrelid = 'public.knowledge_chunks'::regclass
        AND i.indkey::text = a.attnum::text AND NOT i.indisunique
        AND EXISTS (SELECT FROM pg_index p WHERE p.indrelid = i.indrelid AND p.indisprimary AND p.indnkeyatts = 2)) THEN
    CREATE INDEX knowledge_chunks_by_id ON public.knowledge_chunks (id, empresa_id);
    DROP INDEX public.knowledge_chunks_id;
    ALTER INDEX public.knowledge_chunks_by_id RENAME TO knowledge_chunks_id;
  END IF;
END $$;
