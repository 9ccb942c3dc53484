-- What must be kept whole: codes (RG-4310/2021, 00-1234-B), dates and amounts, each in one canonical form, so that
-- "12/03/2025", "2025-03-12" and "12 de marzo de 2025" are the same, and "$ 85.000" is "85000". They come beside the
-- words that the parser makes of the same text. Takes folded text. Only tokens with a digit are looked at closely.

-- The month that a word of three letters or more is, or begins, in Spanish or Portuguese ("marco" is "março", folded); NULL: it is none.
CREATE OR REPLACE FUNCTION ateneo.month_number(abbreviation text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT lpad(min(number)::text, 2, '0')
  FROM unnest('{enero janeiro,febrero fevereiro,marzo marco,abril,mayo maio,junio junho,julio julho,agosto,
    septiembre setiembre setembro,octubre outubro,noviembre novembro,diciembre dezembro}'::text[]) WITH ORDINALITY AS m(names, number)
  WHERE length(abbreviation) >= 3 AND strpos(' ' || names, ' ' || abbreviation) > 0
$$;

CREATE OR REPLACE FUNCTION ateneo.canonical_amount(figure text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  -- a last group of one or two digits behind a point or comma is decimals; every other mark groups thousands
  SELECT translate(regexp_replace(figure, '[.,]\d{1,2}$', ''), '., ', '')
    || coalesce('.' || nullif(rtrim(substring(figure FROM '[.,](\d{1,2})$'), '0'), ''), '')
$$;

-- One token with a digit and a mark inside it.
CREATE OR REPLACE FUNCTION ateneo.identifier(token text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE
    WHEN token ~ '^\d{1,2}([/.-])\d{1,2}\1\d{4}$' THEN
      (SELECT 'd:' || p[3] || lpad(p[2], 2, '0') || lpad(p[1], 2, '0') FROM regexp_split_to_array(token, '[/.-]') p)
    WHEN token ~ '^\d{4}([/.-])\d{1,2}\1\d{1,2}$' THEN
      (SELECT 'd:' || p[1] || lpad(p[2], 2, '0') || lpad(p[3], 2, '0') FROM regexp_split_to_array(token, '[/.-]') p)
    WHEN token ~ '^(\d{1,3}([.,]\d{3})+([.,]\d{1,2})?|\d+[.,]\d{1,2})$' THEN ateneo.canonical_amount(token)
    WHEN token ~ '^[[:alnum:]]+([-/._][[:alnum:]]+)+$' THEN 'id:' || translate(token, '-/._', '') END
$$;

CREATE OR REPLACE FUNCTION ateneo.identifiers(folded text) RETURNS SETOF text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT id FROM (
    SELECT ateneo.identifier(btrim(w, '.,-/_')) AS id
    FROM unnest(string_to_array(translate(folded, E'\n\r\t()[]{}<>«»"“”''*|;:¿?¡!%$€#', repeat(' ', 40)), ' ')) w
    WHERE folded ~ '[0-9]' AND w ~ '\d.*[-/._,].*\w|\w.*[-/._,].*\d') found WHERE id IS NOT NULL
  UNION ALL
  SELECT 'd:' || m[3] || month || lpad(m[1], 2, '0')
  FROM regexp_matches(folded, '\m(\d{1,2}).? de ([a-z]+) del? ((?:19|20)\d\d)\M', 'g') m, ateneo.month_number(m[2]) month
  WHERE month IS NOT NULL AND (strpos(folded, ' de 20') > 0 OR strpos(folded, ' de 19') > 0
    OR strpos(folded, ' del 20') > 0 OR strpos(folded, ' del 19') > 0)
$$;
