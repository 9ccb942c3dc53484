-- Filters on what is known of a passage: {"tipo": "manual", "pais": ["AR", "MX"], "fecha": {"gte": "2024-01-01"}}. A value means
-- equality, a list any of them (an empty one: nothing fits), an object the comparisons eq ne gt gte lt lte, at least one. What is
-- none of these is refused, and never left out. Keys are the document's and the chunk's
-- metadata, and document_id, source, title, mime, language, page, chunk_index, created_at. Dates are ISO text.
CREATE OR REPLACE FUNCTION ateneo.filter_path(p_filter jsonb) RETURNS jsonpath
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  field text; wanted jsonb; op text; operand jsonb; part text; parts text[] := '{}';
  operators CONSTANT jsonb := '{"eq": "==", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}';
BEGIN
  IF jsonb_typeof(p_filter) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'ateneo: a filter is an object' USING ERRCODE = 'AT002';
  END IF;
  FOR field, wanted IN SELECT * FROM jsonb_each(p_filter) LOOP
    IF jsonb_typeof(wanted) = 'array' THEN
      IF EXISTS (SELECT FROM jsonb_array_elements(wanted) one WHERE jsonb_typeof(one) IN ('array', 'object')) THEN
        RAISE EXCEPTION 'ateneo: the list for % holds more than values', field USING ERRCODE = 'AT002';
      END IF;
      SELECT string_agg(format('$.%s == %s', to_jsonb(field), one), ' || ') INTO part FROM jsonb_array_elements(wanted) one;
      parts := parts || coalesce('(' || part || ')', '(1 == 0)');
    ELSIF jsonb_typeof(wanted) = 'object' THEN
      IF wanted = '{}' THEN
        RAISE EXCEPTION 'ateneo: % has no comparison', field USING ERRCODE = 'AT002';
      END IF;
      FOR op, operand IN SELECT * FROM jsonb_each(wanted) LOOP
        IF NOT operators ? op OR jsonb_typeof(operand) IN ('array', 'object') THEN
          RAISE EXCEPTION 'ateneo: % is no comparison for %', op, field USING ERRCODE = 'AT002';
        END IF;
        parts := parts || format('($.%s %s %s)', to_jsonb(field), operators ->> op, operand);
      END LOOP;
    ELSE
      parts := parts || format('($.%s == %s)', to_jsonb(field), wanted);
    END IF;
  END LOOP;
  RETURN nullif(array_to_string(parts, ' && '), '')::jsonpath;
END $$;
