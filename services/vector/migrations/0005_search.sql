-- Search: words by their stems, phrases, beginnings of words.

-- Whose stems words are found by; empty: none. Never changes: the words that are stored depend on it.
ALTER TABLE pergola.collections ADD language text NOT NULL DEFAULT '';

DO $$
DECLARE
    name text;
BEGIN
    -- The order of words, which maintenance writes for points that are there already.
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'points' AND tablename ~ '^c[0-9]+_lexical$' LOOP
        EXECUTE format('ALTER TABLE points.%I ADD sequence bytea', name);
    END LOOP;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'points' AND tablename ~ '^c[0-9]+_term$' LOOP
        EXECUTE format('CREATE INDEX ON points.%I (word)', name);
    END LOOP;
    -- Collections that were made before there were filters have no index over their payloads.
    FOR name IN
        SELECT tablename FROM pg_tables t WHERE schemaname = 'points' AND tablename ~ '^c[0-9]+_point$'
        AND NOT EXISTS (SELECT FROM pg_indexes i WHERE i.schemaname = 'points' AND i.tablename = t.tablename
                        AND i.indexdef LIKE '%USING gin (payload jsonb_path_ops)%')
    LOOP
        EXECUTE format('CREATE INDEX ON points.%I USING gin (payload jsonb_path_ops)'
                       ' WITH (gin_pending_list_limit = 1024)', name);
    END LOOP;
END $$;
