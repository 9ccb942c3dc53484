-- Where a key was used last, beside when (functions/tenant_functions.sql).
ALTER TABLE ateneo.api_key ADD COLUMN last_used_from text;
