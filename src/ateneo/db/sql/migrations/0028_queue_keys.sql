-- Keys of the queue that leave the planner no choice (docs/adr/0028-bulk.md). While they began with the company, look-ups by key and by
-- text could each go through the other's index; a worker that had planned its claims on an empty queue kept that plan, and
-- read all of a company's rows for every row that it claimed.
ALTER TABLE ateneo.embedding_queue DROP CONSTRAINT embedding_queue_pkey;
ALTER TABLE ateneo.embedding_queue ADD PRIMARY KEY (chunk_id, empresa_id, generation);
DROP INDEX ateneo.embedding_queue_text;
CREATE INDEX embedding_queue_text ON ateneo.embedding_queue (content_hash, empresa_id);
