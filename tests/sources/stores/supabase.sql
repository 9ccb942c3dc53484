-- The table and the function of Supabase's guide for LangChain and of its SQL editor's quickstart (supabase.com/docs/guides/ai/langchain), with
-- vectors of 8 dimensions.
create table documents (
  id bigserial primary key,
  content text, -- corresponds to Document.pageContent
  metadata jsonb, -- corresponds to Document.metadata
  embedding vector(8)
);
create function match_documents (query_embedding vector(8), match_count int default null, filter jsonb default '{}')
returns table (id bigint, content text, metadata jsonb, similarity float) language plpgsql as $$
#variable_conflict use_column
begin
  return query select id, content, metadata, 1 - (documents.embedding <=> query_embedding) as similarity
    from documents where metadata @> filter order by documents.embedding <=> query_embedding limit match_count;
end $$;
