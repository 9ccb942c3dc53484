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
insert into documents (content, metadata, embedding) values
  ('Los viáticos se rinden dentro de los treinta días.', '{"tag": "rrhh", "pages": 3}', '[0.15401092171669006,-0.2700941860675812,0.1486375778913498,0.6752943992614746,-0.4894747734069824,-0.054955027997493744,-0.35452643036842346,-0.23857812583446503]');
