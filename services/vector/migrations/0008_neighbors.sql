-- Passages that see what stands before them.

ALTER TABLE pergola.collections
    -- NULL: as the settings say.
    ADD neighbors text CHECK (neighbors IN ('auto', 'on', 'off'));

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'points' AND tablename ~ '^c[0-9]+_point$' LOOP
        -- NULL: it was embedded and indexed by itself.
        EXECUTE format('ALTER TABLE points.%I ADD before text', name);
    END LOOP;
END $$;
