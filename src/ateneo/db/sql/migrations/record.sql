-- The record, where there is none yet: the guide's table.
CREATE TABLE public.knowledge_chunks (
  id           text NOT NULL DEFAULT gen_random_uuid()::text,
  document_id  text,
  empresa_id   text NOT NULL,
  chunk_index  int NOT NULL DEFAULT 0,
  contenido    text,
  tokens_count int,
  embedding    @vector@.vector,
  PRIMARY KEY (empresa_id, id));
CREATE INDEX knowledge_chunks_id ON public.knowledge_chunks (id);
CREATE INDEX knowledge_chunks_document ON public.knowledge_chunks (empresa_id, document_id, chunk_index);
