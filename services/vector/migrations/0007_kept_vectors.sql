-- Vectors of texts that are no points (sentences, titles, names), by the SHA-256 of the text. `asked`: when somebody wanted
-- it last, to the week; what was not asked for longest goes first when there are too many.
DO $$
DECLARE
    one record;
BEGIN
    -- The catalogue of every tenant (0003_tenants.sql).
    PERFORM set_config('pergola.tenant', '*', true);
    FOR one IN SELECT id, dimension FROM pergola.collections LOOP
        EXECUTE format('CREATE TABLE points.%I (hash bytea PRIMARY KEY, asked date NOT NULL DEFAULT current_date,'
                       ' embedding halfvec(%s) NOT NULL)', 'c' || one.id || '_kept', one.dimension);
    END LOOP;
END $$;
