-- Lines of the trail are numbered company by company (functions/125_tenant_doors.sql): one sequence for all told each
-- company how much the others do.
ALTER TABLE ateneo.audit ALTER COLUMN audit_id DROP IDENTITY;
