-- Outlines of words, from which scores are bounded; maintenance writes them for points that are there already.

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'points' AND tablename ~ '^c[0-9]+_lexical$' LOOP
        EXECUTE format('ALTER TABLE points.%I ADD once sparsevec(1000000000),'
                       ' ADD again sparsevec(1000000000), ADD times sparsevec(1000000000)', name);
    END LOOP;
END $$;
