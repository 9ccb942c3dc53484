-- How many workers died with the row in hand (056_suspects.sql). Not in the keys of any index that a lease would change.
ALTER TABLE ateneo.embedding_queue ADD COLUMN deaths smallint NOT NULL DEFAULT 0;
CREATE INDEX embedding_queue_suspects ON ateneo.embedding_queue (deaths) WHERE state = 'pending' AND deaths > 0;
