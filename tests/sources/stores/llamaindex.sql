-- What llama-index-vector-stores-postgres 0.9.0 (PGVectorStore) wrote, dumped by pg_dump: see make.py.txt.
CREATE TABLE public.data_handbook (
    id bigint NOT NULL,
    text character varying NOT NULL,
    metadata_ jsonb,
    node_id character varying,
    embedding public.vector(8)
);
CREATE SEQUENCE public.data_handbook_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.data_handbook_id_seq OWNED BY public.data_handbook.id;
ALTER TABLE ONLY public.data_handbook ALTER COLUMN id SET DEFAULT nextval('public.data_handbook_id_seq'::regclass);
INSERT INTO public.data_handbook VALUES (1, 'Los viáticos se rinden dentro de los treinta días.', '{"tag": "rrhh", "title": "Viáticos", "doc_id": "doc-0", "tenant_id": "7", "_node_type": "TextNode", "ref_doc_id": "doc-0", "document_id": "doc-0", "_node_content": "{\"id_\": \"00000000-0000-4000-8000-000000000000\", \"embedding\": null, \"metadata\": {\"tenant_id\": \"7\", \"title\": \"Viáticos\", \"tag\": \"rrhh\"}, \"excluded_embed_metadata_keys\": [\"tenant_id\"], \"excluded_llm_metadata_keys\": [], \"relationships\": {\"1\": {\"node_id\": \"doc-0\", \"node_type\": null, \"metadata\": {}, \"hash\": null, \"class_name\": \"RelatedNodeInfo\"}}, \"metadata_template\": \"{key}: {value}\", \"metadata_separator\": \"\\n\", \"text\": \"\", \"mimetype\": \"text/plain\", \"start_char_idx\": null, \"end_char_idx\": null, \"text_template\": \"{metadata_str}\\n\\n{content}\", \"class_name\": \"TextNode\"}"}', '00000000-0000-4000-8000-000000000000', '[-0.6052895,-0.2773382,-0.4937008,-0.29079634,0.15391968,-0.34228122,-0.29254675,0.04442738]');
INSERT INTO public.data_handbook VALUES (2, 'La caldera hace ruido cuando falta presión.', '{"tag": "soporte", "title": "Caldera", "doc_id": "doc-1", "tenant_id": "8", "_node_type": "TextNode", "ref_doc_id": "doc-1", "document_id": "doc-1", "_node_content": "{\"id_\": \"00000000-0000-4000-8000-000000000001\", \"embedding\": null, \"metadata\": {\"tenant_id\": \"8\", \"title\": \"Caldera\", \"tag\": \"soporte\"}, \"excluded_embed_metadata_keys\": [\"tenant_id\"], \"excluded_llm_metadata_keys\": [], \"relationships\": {\"1\": {\"node_id\": \"doc-1\", \"node_type\": null, \"metadata\": {}, \"hash\": null, \"class_name\": \"RelatedNodeInfo\"}}, \"metadata_template\": \"{key}: {value}\", \"metadata_separator\": \"\\n\", \"text\": \"\", \"mimetype\": \"text/plain\", \"start_char_idx\": null, \"end_char_idx\": null, \"text_template\": \"{metadata_str}\\n\\n{content}\", \"class_name\": \"TextNode\"}"}', '00000000-0000-4000-8000-000000000001', '[0.36011213,-0.02700459,0.7534026,0.30899876,0.27368233,0.070013,0.3494104,-0.06784357]');
SELECT pg_catalog.setval('public.data_handbook_id_seq', 2, true);
ALTER TABLE ONLY public.data_handbook
    ADD CONSTRAINT data_handbook_pkey PRIMARY KEY (id);
CREATE INDEX handbook_idx_1 ON public.data_handbook USING btree (((metadata_ ->> 'ref_doc_id'::text)));
