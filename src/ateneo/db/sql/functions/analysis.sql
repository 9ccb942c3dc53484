-- Text analysis, all of it in SQL: the same words in Python agreed for fewer than one passage in five. Everything here
-- takes folded text. Stemming comes after folding, so that "informacion" meets "información".
DROP FUNCTION IF EXISTS ateneo.doc_lexemes(text), ateneo.query_lexemes(text);

-- What the stemmer leaves of folded text. Verbs that change their vowel: "querés" and "quieres", "podés" and "puede",
-- "contá" and "cuenta" get one stem. Endings that it knows by their accent alone: "información" and "informaciones" (its
-- rule for -ación asks for two syllables before, as here), "nació" and "nacer", "tecnología" and "tecnológico". Neither
-- function is STRICT: PostgreSQL would not inline a CASE then, and a call for each word is half of an analysis.
CREATE OR REPLACE FUNCTION ateneo.one_vowel(stem text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN strpos(stem, 'ue') > 1 OR strpos(stem, 'ie') > 0
    THEN replace(regexp_replace(stem, '([^qg])ue', '\1o', 'g'), 'ie', 'e') ELSE stem END
$$;

CREATE OR REPLACE FUNCTION ateneo.stem(lexeme text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN right(lexeme, 1) = 'i' AND length(lexeme) > 3 THEN ateneo.one_vowel(left(lexeme, -1))
    WHEN right(lexeme, 4) = 'cion' AND left(lexeme, -5) ~ '[aeiou][^aeiou].*[aeiou][^aeiou]' THEN
      CASE left(right(lexeme, 5), 1) WHEN 'a' THEN ateneo.one_vowel(left(lexeme, -5))
        WHEN 'u' THEN ateneo.one_vowel(left(lexeme, -4)) ELSE ateneo.one_vowel(lexeme) END
    ELSE ateneo.one_vowel(lexeme) END
$$;

-- What the parser gets of a folded text. A tsvector holds at most 1 MB, and 300,000 bytes of words make no more, however short or
-- foreign; 75,000 characters are never longer.
CREATE OR REPLACE FUNCTION ateneo.parsed_part(folded text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN octet_length(folded) > 300000 THEN left(folded, 75000) ELSE folded END
$$;

-- The parser reads "rg-4310/2021" as a negative number and a path, so its marks become spaces; codes are kept whole
-- by ateneo.identifiers. A word with ñ is indexed with n as well: who types "ano" finds "año".
CREATE OR REPLACE FUNCTION ateneo.doc_lexemes(folded text) RETURNS tsvector LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN strpos(f, 'ñ') = 0 THEN to_tsvector('ateneo.es', f)
    ELSE to_tsvector('ateneo.es', f) || to_tsvector('ateneo.es',
      (SELECT string_agg(translate(m[1], 'ñ', 'n'), ' ') FROM regexp_matches(f, '(\w*ñ\w*)', 'g') m)) END
  FROM (SELECT translate(ateneo.parsed_part(folded), '-/_', '   ') AS f OFFSET 0) x
$$;

-- md5, not hashtext(): the same in every version of PostgreSQL.
CREATE OR REPLACE FUNCTION ateneo.term(empresa text, lexeme text) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT ('x' || left(md5(empresa || chr(31) || lexeme), 15))::bit(60)::bigint
$$;

-- A term's dimension in the sparse vectors.
CREATE OR REPLACE FUNCTION ateneo.dimension(term bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
  'SELECT 1 + (term & 268435455)';

-- A passage's terms and how often each occurs, in its first 200,000 characters; of a sparsevec's 16,000 entries 15,000 are used,
-- the frequent first.
CREATE OR REPLACE FUNCTION ateneo.doc_terms(empresa text, contenido text) RETURNS TABLE (t bigint, tf float8)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ateneo.term(empresa, l), sum(n)::float8
  FROM (SELECT ateneo.fold(left(contenido, 200000)) AS f OFFSET 0) x,
    LATERAL (
      SELECT ateneo.stem(lexeme) AS l, cardinality(positions) AS n FROM unnest(ateneo.doc_lexemes(x.f))
      UNION ALL SELECT i, 1 FROM ateneo.identifiers(x.f) i) found
  GROUP BY 1 ORDER BY 2 DESC LIMIT 15000
$$;

-- The passage's side of BM25 (Robertson & Zaragoza 2009): tf (k1+1) / (tf + k1 (1 - b + b dl/avgdl)), with the k1 and b of
-- the company. idf comes with the query. Grouped by dimension: two terms on one would make sparsevec raise.
CREATE OR REPLACE FUNCTION ateneo.analyse(empresa text, contenido text, avgdl float8,
  OUT dl int, OUT terms bigint[], OUT bm25 @vector@.sparsevec)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT coalesce(max(d), 0)::int, coalesce(array_agg(t), '{}'),
    ('{' || coalesce(string_agg(k || ':' || w, ','), '') || '}/268435456')::@vector@.sparsevec
  FROM (
    SELECT min(t) AS t, k, min(d) AS d,
      ((k1 + 1) * sum(tf) / (sum(tf) + k1 * (1 - b + b * min(d) / greatest(avgdl, 1))))::float4 AS w
    FROM (SELECT t, ateneo.dimension(t) AS k, tf, sum(tf) OVER () AS d FROM ateneo.doc_terms(empresa, contenido)) measured,
      (SELECT coalesce(max(s.k1), 1.2) AS k1, coalesce(max(s.b), 0.75) AS b
       FROM ateneo.tenant_stats s WHERE s.empresa_id = empresa) company
    GROUP BY k, k1, b) weighed
$$;
