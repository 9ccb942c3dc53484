-- What langchain-postgres 0.0.19 (PGVector, PGVectorStore) wrote, dumped by pg_dump: see make.py.txt.
CREATE TABLE public.langchain_pg_collection (
    uuid uuid NOT NULL,
    name character varying NOT NULL,
    cmetadata json
);
CREATE TABLE public.langchain_pg_embedding (
    id character varying NOT NULL,
    collection_id uuid,
    embedding public.vector,
    document character varying,
    cmetadata jsonb
);
CREATE TABLE public.newer (
    langchain_id uuid NOT NULL,
    content text NOT NULL,
    embedding public.vector(8) NOT NULL,
    langchain_metadata json
);
INSERT INTO public.langchain_pg_collection VALUES ('d632420d-20b1-40d4-bc23-df627c036a3e', 'handbook', 'null');
INSERT INTO public.langchain_pg_collection VALUES ('86e07a82-1923-4a57-a565-cf42c509ac20', 'drafts', 'null');
INSERT INTO public.langchain_pg_embedding VALUES ('95504c95-66e5-4bd9-819f-d01efc7d95b8', 'd632420d-20b1-40d4-bc23-df627c036a3e', '[0.15401092,-0.2700942,0.14863758,0.6752944,-0.48947477,-0.054955028,-0.35452643,-0.23857813]', 'Los viáticos se rinden dentro de los treinta días.', '{"tag": "rrhh", "title": "Viáticos", "tenant_id": "7"}');
INSERT INTO public.langchain_pg_embedding VALUES ('072cb00b-fddc-4170-9fb4-c8bab8f0ef1d', 'd632420d-20b1-40d4-bc23-df627c036a3e', '[0.34424275,0.26481166,-0.012866812,0.2895016,-0.12133912,0.6168152,0.46026754,0.34693608]', 'La caldera hace ruido cuando falta presión.', '{"tag": "soporte", "title": "Caldera", "tenant_id": "8"}');
INSERT INTO public.langchain_pg_embedding VALUES ('a381c546-e10a-400c-b39d-5138bb5d1e2c', '86e07a82-1923-4a57-a565-cf42c509ac20', '[-0.6661212,-0.03345865,0.344071,-0.10315635,-0.13418914,-0.05810388,0.41417322,-0.48292306]', 'Un borrador del manual.', '{}');
INSERT INTO public.newer VALUES ('04c262e3-a70c-424e-8362-0a344c05de57', 'Los viáticos se rinden dentro de los treinta días.', '[0.15401092,-0.2700942,0.14863758,0.6752944,-0.48947477,-0.054955028,-0.35452643,-0.23857813]', '{"tenant_id": "7", "title": "Vi\u00e1ticos", "tag": "rrhh"}');
INSERT INTO public.newer VALUES ('52dda488-85f3-4420-b181-d955d560272a', 'La caldera hace ruido cuando falta presión.', '[0.34424275,0.26481166,-0.012866812,0.2895016,-0.12133912,0.6168152,0.46026754,0.34693608]', '{"tenant_id": "8", "title": "Caldera", "tag": "soporte"}');
ALTER TABLE ONLY public.langchain_pg_collection
    ADD CONSTRAINT langchain_pg_collection_name_key UNIQUE (name);
ALTER TABLE ONLY public.langchain_pg_collection
    ADD CONSTRAINT langchain_pg_collection_pkey PRIMARY KEY (uuid);
ALTER TABLE ONLY public.langchain_pg_embedding
    ADD CONSTRAINT langchain_pg_embedding_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.newer
    ADD CONSTRAINT newer_pkey PRIMARY KEY (langchain_id);
CREATE INDEX ix_cmetadata_gin ON public.langchain_pg_embedding USING gin (cmetadata jsonb_path_ops);
ALTER TABLE ONLY public.langchain_pg_embedding
    ADD CONSTRAINT langchain_pg_embedding_collection_id_fkey FOREIGN KEY (collection_id) REFERENCES public.langchain_pg_collection(uuid) ON DELETE CASCADE;
