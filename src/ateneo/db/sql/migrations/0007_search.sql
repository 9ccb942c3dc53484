-- hnsw.ef_search of a company's own graph, as `ateneo index tune` found it (docs/adr/0009-hnsw-per-company.md).
ALTER TABLE ateneo.own_index ADD COLUMN ef_search int CHECK (ef_search BETWEEN 1 AND 1000);

-- What is inserted waits in a list of up to this many kB, which every search reads: 1 ms at the default of 4 MB.
ALTER INDEX ateneo.chunk_lex_terms SET (gin_pending_list_limit = 256);
