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
