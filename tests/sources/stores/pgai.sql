-- As pgai makes them: the store and the view of ai._vectorizer_create_target_table and _vectorizer_create_view, and what its catalog says of
-- them (timescale/pgai, projects/extension/sql/idempotent/013-vectorizer-int.sql, commit 6c78dd4e3e38), for a table `blog`, with 8 dimensions.
create table blog (id bigint primary key, tenant_id uuid not null, title text not null, contents text not null, category varchar(40), deleted_at timestamptz);
create table blog_embedding_store
( embedding_uuid uuid not null primary key default pg_catalog.gen_random_uuid()
, id bigint not null
, chunk_seq int not null
, chunk text not null
, embedding vector(8) storage main not null
, unique (id, chunk_seq)
);
create view blog_embedding as
select t.embedding_uuid, t.chunk_seq, t.chunk, t.embedding, t.id, s.tenant_id, s.title, s.contents, s.category, s.deleted_at
from blog_embedding_store t left outer join blog s on (t.id = s.id);
create schema ai;
create table ai.vectorizer (id int primary key, source_schema name not null, source_table name not null, config jsonb not null);
insert into ai.vectorizer values (1, 'public', 'blog',
  '{"destination": {"implementation": "table", "target_schema": "public", "target_table": "blog_embedding_store"}}');
insert into blog values (1, '00000000-0000-0000-0000-000000000007', 'Viáticos', 'Los viáticos se rinden dentro de los treinta días. La caldera hace ruido cuando falta presión.', 'rrhh', null);
insert into blog_embedding_store (id, chunk_seq, chunk, embedding) values
  (1, 0, 'Los viáticos se rinden dentro de los treinta días.', '[0.15401092171669006,-0.2700941860675812,0.1486375778913498,0.6752943992614746,-0.4894747734069824,-0.054955027997493744,-0.35452643036842346,-0.23857812583446503]'),
  (1, 1, 'La caldera hace ruido cuando falta presión.', '[0.34424275159835815,0.2648116648197174,-0.012866811826825142,0.2895016074180603,-0.12133911997079849,0.6168152093887329,0.4602675437927246,0.34693607687950134]');
