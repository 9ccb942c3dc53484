-- Of a source's row: the md5 of the vector that it had before its text changed, which is not taken over (docs/adr/0057-vectors-of-sources.md).
ALTER TABLE ateneo.source_row ADD COLUMN stale_vector text;
