-- Who is asking: the setting ateneo.empresa_id of the transaction. No tenant set is an error, never "all".
-- Once a secret is stored (`ateneo db sign-tenants`) the setting is a token, `v1.<expires>.<hmac>.<empresa_id>`:
-- expires in seconds since 1970, hmac = hex of HMAC-SHA256 (RFC 2104) of `<expires>.<empresa_id>`. It is compared with the
-- transaction's beginning, so that a long transaction does not lose its tenant halfway.
CREATE OR REPLACE FUNCTION ateneo.signed_tenant(token text) RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE part text[] := regexp_match(token, '^v1\.(\d{1,12})\.([0-9a-f]{64})\.(.+)$', 's'); pads record; said bytea;
BEGIN
  SELECT inner_pad, outer_pad INTO pads FROM ateneo.tenant_secret;
  IF NOT FOUND THEN RETURN token; END IF;
  said := convert_to(part[1] || '.' || part[3], 'UTF8');
  IF encode(sha256(pads.outer_pad || sha256(pads.inner_pad || said)), 'hex') = part[2]
    AND part[1]::bigint > extract(epoch FROM now()) THEN RETURN part[3]; END IF;
  RAISE EXCEPTION 'ateneo: the tenant is not signed, or its signature has expired' USING ERRCODE = 'AT003',
    HINT = 'ATENEO_TENANT_SECRET must be the secret that is stored in the database';
END $$;

CREATE OR REPLACE FUNCTION ateneo.tenant() RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE who text := nullif(current_setting('ateneo.empresa_id', true), '');
BEGIN
  IF who IS NULL THEN
    RAISE EXCEPTION 'ateneo: no tenant set' USING ERRCODE = 'insufficient_privilege',
      HINT = 'SET LOCAL ateneo.empresa_id = ''...'' inside the transaction';
  END IF;
  RETURN ateneo.signed_tenant(who);
END $$;

-- The same, where whoever calls says which company they mean: it must be that one.
CREATE OR REPLACE FUNCTION ateneo.tenant(p_empresa text) RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE tenant text := ateneo.tenant();
BEGIN
  IF p_empresa IS DISTINCT FROM tenant THEN
    RAISE EXCEPTION 'ateneo: another tenant' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN tenant;
END $$;
