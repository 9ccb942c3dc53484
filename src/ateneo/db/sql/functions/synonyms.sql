-- Words that the company uses for the same thing.

CREATE OR REPLACE FUNCTION ateneo.own_synonyms(p_empresa text) RETURNS SETOF ateneo.synonym
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant(p_empresa);
BEGIN
  RETURN QUERY SELECT s.* FROM ateneo.synonym s WHERE s.empresa_id = tenant;
END $$;

-- Makes each of the words stand for each other, without accents and case. Returns how many rows are new: two a pair.
CREATE OR REPLACE FUNCTION ateneo.own_synonyms_add(p_empresa text, p_words text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa); n bigint;
BEGIN
  WITH folded AS (SELECT DISTINCT btrim(ateneo.fold(w)) AS w FROM unnest(p_words) w)
  INSERT INTO ateneo.synonym (empresa_id, word, same_as)
    SELECT tenant, a.w, b.w FROM folded a JOIN folded b ON a.w <> b.w WHERE a.w <> '' AND b.w <> '' ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;

-- Forgets everything that the word stands for and that stands for it. Returns how many rows that was: two a pair.
CREATE OR REPLACE FUNCTION ateneo.own_synonyms_remove(p_empresa text, p_word text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.writing_tenant(p_empresa); n bigint;
BEGIN
  DELETE FROM ateneo.synonym s WHERE s.empresa_id = tenant AND btrim(ateneo.fold(p_word)) IN (s.word, s.same_as);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;
