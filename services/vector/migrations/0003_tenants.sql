-- Row-level security on every shared table, for its owner as well: a statement sees the rows of the tenant that its
-- transaction was opened for (stores/database/connections.py), and no others.

-- A session that had a tenant once finds an empty string in the setting later, which would match nothing and say
-- nothing; a statement outside of such a transaction is a fault and has to fail.
CREATE FUNCTION pergola.current_tenant() RETURNS text STABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT CASE current_setting('pergola.tenant')
        WHEN '' THEN current_setting('pergola.tenant is not set')
        ELSE current_setting('pergola.tenant')
    END
$$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['collections', 'requests', 'consumers', 'documents', 'jobs', 'job_documents',
                                'job_events', 'job_notes'] LOOP
        EXECUTE format('ALTER TABLE pergola.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE pergola.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_tenant ON pergola.%I USING (tenant = pergola.current_tenant())'
                       ' WITH CHECK (tenant = pergola.current_tenant())', name);
    END LOOP;
END $$;

-- '*' can't be the name of a tenant. It opens two tables, for reading alone, to the one helper that sets it
-- (across_tenants in stores/database/connections.py): followers and maintenance have to know which collections there are, and
-- workers which jobs; they then act as the tenant they found.
CREATE POLICY across_tenants ON pergola.collections FOR SELECT USING (pergola.current_tenant() = '*');
CREATE POLICY across_tenants ON pergola.jobs FOR SELECT USING (pergola.current_tenant() = '*');
