-- What a query asks for: its words with their weights, phrases in quotes, words with a minus, corrections.
DROP FUNCTION IF EXISTS ateneo.query_terms(text, text);

-- Words of a question that say nothing about its answer. The stemmer's own stop list has accents, which folding took.
CREATE OR REPLACE FUNCTION ateneo.is_stop(word text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT word = ANY ('{cuanto,cuanta,cuantos,cuantas,cual,cuales,quien,quienes,adonde,mas,tambien,esta,estan,estas,asi,aun,si,
    tu,mi,el,sera,seran,the,of,is,was,were,are,what,which,who,whom,how,when,where,why,did,does,do,to,for,and,in,on,by,an}'::text[])
$$;

-- Whether two words are one insertion, deletion, substitution or swap of neighbours apart.
CREATE OR REPLACE FUNCTION ateneo.one_edit(x text, y text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE
    WHEN length(x) = length(y) THEN p + s >= length(x) - 1
      OR (p + s = length(x) - 2 AND substr(x, p + 1, 2) = reverse(substr(y, p + 1, 2)))
    WHEN abs(length(x) - length(y)) = 1 THEN p + s >= least(length(x), length(y)) ELSE false END
  FROM (SELECT
      (SELECT coalesce(min(i), least(length(x), length(y)) + 1) - 1 FROM generate_series(1, least(length(x), length(y))) i
       WHERE substr(x, i, 1) <> substr(y, i, 1)) AS p,
      (SELECT coalesce(min(i), least(length(x), length(y)) + 1) - 1 FROM generate_series(1, least(length(x), length(y))) i
       WHERE substr(reverse(x), i, 1) <> substr(reverse(y), i, 1)) AS s) common
$$;

-- The company's words that an unknown word may stand for, the best first: same first letter, then the frequent. The
-- keys come as an array and the OFFSET is a fence: else the planner may compare the word with the whole vocabulary.
CREATE OR REPLACE FUNCTION ateneo.corrections(p_empresa text, p_word text, p_limit int DEFAULT 2) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT v.word FROM (SELECT DISTINCT k.word FROM ateneo.vocabulary_key k
      WHERE k.empresa_id = p_empresa AND k.key = ANY (ARRAY(SELECT ateneo.word_keys(p_word))) OFFSET 0) near
    JOIN ateneo.vocabulary v ON v.empresa_id = p_empresa AND v.word = near.word
  WHERE ateneo.one_edit(p_word, near.word)
  ORDER BY left(v.word, 1) = left(p_word, 1) DESC, v.df DESC, v.word LIMIT p_limit
$$;

-- The lexemes of one word of a query: "año" finds año alone, "ano" finds both. (Not STRICT, so that it is inlined.)
CREATE OR REPLACE FUNCTION ateneo.word_lexemes(word text) RETURNS SETOF text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ateneo.stem(l) FROM unnest(tsvector_to_array(to_tsvector('ateneo.es', word))) l
$$;

-- Text as words between single spaces, to look a phrase up in.
CREATE OR REPLACE FUNCTION ateneo.spaced(t text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT ' ' || btrim(regexp_replace(ateneo.fold(t), '[^[:alnum:]ñ]+', ' ', 'g')) || ' '
$$;

CREATE OR REPLACE FUNCTION ateneo.has_phrases(t text, phrases text[]) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT bool_and(strpos(s, p) > 0) FROM (SELECT ateneo.spaced(t) AS s OFFSET 0) x, unnest(phrases) p
$$;

-- phrases: what stands in quotes, spaced; excluded: words behind a minus; rest: the folded query without the latter.
CREATE OR REPLACE FUNCTION ateneo.read_query(p_query text, OUT phrases text[], OUT excluded text[], OUT rest text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE q text := translate(left(p_query, 4000), '“”«»', '""""');
BEGIN
  IF strpos(q, '"') = 0 AND strpos(q, '-') = 0 THEN rest := ateneo.fold(q); RETURN; END IF;
  SELECT array_agg(s) INTO phrases FROM regexp_matches(q, '"([^"]+)"', 'g') m, ateneo.spaced(m[1]) s WHERE btrim(s) <> '';
  SELECT array_agg(ateneo.fold(m[1])) INTO excluded FROM regexp_matches(q, '(?:^|\s)-([[:alpha:]][[:alnum:]]*)', 'g') m;
  rest := ateneo.fold(translate(regexp_replace(q, '(^|\s)-[[:alpha:]][[:alnum:]]*', '\1', 'g'), '"', ' '));
END $$;

-- How many passages have a term that the statistics do not know yet: a new word is found at its commit. (|| '' hides the
-- company from the primary key: terms are the company's own already, and a second bitmap of all its rows costs more than the first.)
DROP FUNCTION IF EXISTS ateneo.df(text, bigint);
CREATE OR REPLACE FUNCTION ateneo.counted_df(p_empresa text, p_term bigint) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT count(*) FROM ateneo.chunk_lex c WHERE c.empresa_id || '' = p_empresa AND c.terms @> ARRAY[p_term]
$$;

-- weights: idf = ln(1 + (N - df + 0.5) / (df + 0.5)) by term; candidates: the terms to look passages up by, the rarest
-- first, until they reach 60 % of the query's weight and 1,000 passages (docs/adr/0026-candidates.md), none of df >= 10 %
-- and 200 unless all are; ideal: the score of a passage of average length that has every word once;
-- corrected: unknown word -> what was searched in its place; words and terms: word i of the query has the term i.
CREATE OR REPLACE FUNCTION ateneo.weigh_query(p_empresa text, p_rest text,
  OUT weights @vector@.sparsevec, OUT candidates bigint[], OUT ideal float8, OUT corrected jsonb, OUT words text[], OUT terms bigint[])
LANGUAGE plpgsql STABLE
-- planned once a session: inside search() every plan would be a custom one
SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 SET plan_cache_mode = force_generic_plan AS $$
DECLARE ndocs int;
BEGIN
  SELECT n INTO ndocs FROM ateneo.tenant_stats WHERE empresa_id = p_empresa;
  IF NOT FOUND THEN SELECT count(*) INTO ndocs FROM ateneo.chunk_lex WHERE empresa_id = p_empresa; END IF;
  WITH asked AS (
    SELECT w AS word, l AS lexeme, 1.0 AS share FROM
      (SELECT DISTINCT w FROM unnest(regexp_split_to_array(p_rest, '[^[:alnum:]ñ@.]+')) s, btrim(s, '.') w WHERE w <> '' AND NOT ateneo.is_stop(w)) split,
      ateneo.word_lexemes(w) l
    UNION ALL SELECT i, i, 1.0 FROM ateneo.identifiers(p_rest) i
    UNION ALL SELECT DISTINCT w, 'id:' || w, 1.0 FROM unnest(regexp_split_to_array(p_rest, '[^[:alnum:]]+')) w WHERE w ~ '\d' AND w ~ '[a-z]'),
  counted AS MATERIALIZED (
    SELECT word, lexeme, t, coalesce((SELECT s.df FROM ateneo.term_stats s WHERE s.empresa_id = p_empresa AND s.term = t),
      ateneo.counted_df(p_empresa, t)) AS df
    FROM (SELECT min(word) AS word, lexeme, ateneo.term(p_empresa, lexeme) AS t FROM asked GROUP BY lexeme OFFSET 0) one),
  fixed AS MATERIALIZED (
    SELECT c.word, f.other, f.place FROM counted c,
      LATERAL (SELECT other, place FROM ateneo.corrections(p_empresa, c.word) WITH ORDINALITY AS f(other, place)) f
    WHERE c.df = 0 AND length(c.word) BETWEEN 5 AND 41 AND c.word ~ '^[a-zñ]+$'),
  alike AS (
    SELECT f.word, ateneo.term(p_empresa, l) AS t, CASE f.place WHEN 1 THEN 1.0 ELSE 0.5 END AS share FROM fixed f, ateneo.word_lexemes(f.other) l
    UNION ALL
    SELECT c.word, ateneo.term(p_empresa, l), 0.6 FROM counted c
      JOIN ateneo.synonym y ON y.empresa_id = p_empresa AND y.word = c.word, ateneo.word_lexemes(y.same_as) l),
  every AS (
    SELECT word, t, df, 1.0 AS share FROM counted WHERE df > 0
    UNION ALL
    SELECT word, t, coalesce((SELECT s.df FROM ateneo.term_stats s WHERE s.empresa_id = p_empresa AND s.term = t),
      ateneo.counted_df(p_empresa, t)), share FROM alike),
  weighed AS MATERIALIZED (
    SELECT min(word) AS word, t, max(df) AS df,
      max(share) * ln(1 + (ndocs - least(max(df), ndocs) + 0.5) / (max(df) + 0.5)) AS idf
    FROM every WHERE df > 0 GROUP BY t),
  ordered AS (
    SELECT w.*, sum(df) OVER rarest AS reached, sum(idf) OVER rarest - idf AS before, sum(idf) OVER () AS total
    FROM weighed w WINDOW rarest AS (ORDER BY df, t ROWS UNBOUNDED PRECEDING))
  SELECT coalesce(array_agg(t) FILTER (WHERE df < greatest(0.1 * ndocs, 200) AND (reached <= 1000 OR before < 0.6 * total)),
      array_agg(t)),
    (SELECT ('{' || string_agg(b.d || ':' || b.i::float4, ',') || '}/268435456')::@vector@.sparsevec
     FROM (SELECT ateneo.dimension(t) AS d, max(idf) AS i FROM weighed GROUP BY 1) b),
    (SELECT sum(best) FROM (SELECT max(idf) AS best FROM weighed GROUP BY word) by_word)
      + (SELECT coalesce(sum(ln(1 + (ndocs + 0.5) / 0.5)), 0) FROM (SELECT DISTINCT word FROM counted
         WHERE lexeme NOT LIKE 'id:%' AND word NOT IN (SELECT word FROM weighed)) unknown),
    (SELECT jsonb_object_agg(word, other) FROM fixed WHERE place = 1),
    array_agg(CASE WHEN word LIKE 'id:%' THEN substr(word, 4)
      WHEN word LIKE 'd:%' THEN concat_ws('-', substr(word, 3, 4), substr(word, 7, 2), substr(word, 9, 2)) ELSE word END),
    array_agg(t)
    INTO candidates, weights, ideal, corrected, words, terms FROM ordered;
END $$;
