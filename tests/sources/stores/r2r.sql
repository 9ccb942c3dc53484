-- As R2R makes them: PostgresChunksHandler and PostgresDocumentsHandler (SciPhi-AI/R2R, py/core/providers/database/chunks.py and documents.py,
-- commit 0ab78ce247fe), for the project `acme`, with 8 dimensions.
CREATE SCHEMA acme;
CREATE TABLE acme.documents (
  id UUID PRIMARY KEY, collection_ids UUID[], owner_id UUID, type TEXT, metadata JSONB, title TEXT, summary TEXT NULL,
  summary_embedding vector(8) NULL, version TEXT, size_in_bytes INT, ingestion_status TEXT DEFAULT 'pending',
  extraction_status TEXT DEFAULT 'pending', created_at TIMESTAMPTZ DEFAULT NOW(), updated_at TIMESTAMPTZ DEFAULT NOW(),
  ingestion_attempt_number INT DEFAULT 0, total_tokens INT DEFAULT 0);
CREATE TABLE acme.chunks (
  id UUID PRIMARY KEY, document_id UUID, owner_id UUID, collection_ids UUID[], vec vector(8), text TEXT, metadata JSONB,
  fts tsvector GENERATED ALWAYS AS (to_tsvector('english', text)) STORED);
INSERT INTO acme.documents (id, owner_id, title) VALUES ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000008', 'Manual');
INSERT INTO acme.chunks (id, document_id, owner_id, collection_ids, vec, text, metadata) VALUES
  ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000008', '{}', '[0.15401092171669006,-0.2700941860675812,0.1486375778913498,0.6752943992614746,-0.4894747734069824,-0.054955027997493744,-0.35452643036842346,-0.23857812583446503]', 'Los viáticos se rinden dentro de los treinta días.', '{"chunk_order": 0}'),
  ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000008', '{}', '[0.34424275159835815,0.2648116648197174,-0.012866811826825142,0.2895016074180603,-0.12133911997079849,0.6168152093887329,0.4602675437927246,0.34693607687950134]', 'La caldera hace ruido cuando falta presión.', '{"chunk_order": 1}');
