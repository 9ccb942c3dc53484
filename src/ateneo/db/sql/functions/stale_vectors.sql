-- New text without a new vector: the old one must not keep "pending" from being true.
CREATE OR REPLACE FUNCTION ateneo.forget_stale() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.embedding IS NOT NULL AND OLD.embedding OPERATOR(@vector@.=) NEW.embedding THEN NEW.embedding := NULL; END IF;
  RETURN NEW;
END $$;

-- Where contenido is generated from a column of the user's, its new text is known only once the row is written.
CREATE OR REPLACE FUNCTION ateneo.forget_stale_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF OLD.embedding OPERATOR(@vector@.=) NEW.embedding THEN
    UPDATE public.knowledge_chunks k SET embedding = NULL WHERE k.id = NEW.id AND k.empresa_id = NEW.empresa_id;
  END IF;
  RETURN NULL;
END $$;

DO $$
BEGIN
  IF (SELECT a.attgenerated = 's' FROM pg_attribute a
      WHERE a.attrelid = 'public.knowledge_chunks'::regclass AND a.attname = 'contenido' AND NOT a.attisdropped) THEN
    DROP TRIGGER IF EXISTS ateneo_stale ON public.knowledge_chunks;
    -- its name puts it behind ateneo_update
    CREATE OR REPLACE TRIGGER ateneo_update_stale AFTER UPDATE OF contenido ON public.knowledge_chunks
      FOR EACH ROW WHEN (OLD.contenido IS DISTINCT FROM NEW.contenido) EXECUTE FUNCTION ateneo.forget_stale_row();
  ELSE
    DROP TRIGGER IF EXISTS ateneo_update_stale ON public.knowledge_chunks;
    CREATE OR REPLACE TRIGGER ateneo_stale BEFORE UPDATE OF contenido ON public.knowledge_chunks
      FOR EACH ROW WHEN (OLD.contenido IS DISTINCT FROM NEW.contenido) EXECUTE FUNCTION ateneo.forget_stale();
  END IF;
END $$;
