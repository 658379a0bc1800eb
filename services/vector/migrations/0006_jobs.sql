-- Jobs that can be cancelled, retried and made to wait for those who follow; a feed that is compacted; chunking by
-- collection.

ALTER TABLE pergola.collections
    -- NULL: as the settings say.
    ADD chunk_mode    text CHECK (chunk_mode IN ('structure', 'sentences', 'tokens')),
    ADD chunk_tokens  int CHECK (chunk_tokens > 0),
    ADD chunk_overlap int CHECK (chunk_overlap >= 0);

ALTER TABLE pergola.jobs
    -- Consumers of the change feed that must have acknowledged the job's last change before it is completed.
    ADD wait_for      text[] NOT NULL DEFAULT '{}',
    -- Set when all documents are settled and only those consumers are waited for: nobody works on it, it has no lease.
    ADD waits_seq     bigint,
    ADD waits_for     text[] NOT NULL DEFAULT '{}',
    ADD waits_since   timestamptz,
    -- The job whose failed documents this one tries again. No foreign key: that one may be cleared first.
    ADD retry_of      uuid,
    -- Items before this position are taken one by one, because a worker was lost among them.
    ADD careful_until int NOT NULL DEFAULT 0;

ALTER TABLE pergola.job_documents
    -- A document that failed keeps its text or file, so that it can be tried again without being sent again.
    ADD failed   boolean NOT NULL DEFAULT false,
    -- Number of the job that first accepted it; NULL: of its own job. A retry must not pass what came in between.
    ADD accepted bigint;

ALTER TABLE pergola.job_notes
    -- Of the document that failed; NULL in notes of older versions, which kept no text.
    ADD position   int,
    -- The job that tries it again.
    ADD retried_by uuid;
CREATE INDEX job_failures ON pergola.job_notes (job_id, number) WHERE kind = 'failure';

-- What a worker looks for, without going through all open jobs: the oldest of each tenant, and how many run.
DROP INDEX pergola.jobs_open;
CREATE INDEX jobs_open ON pergola.jobs (tenant, number)
    WHERE status IN ('queued', 'running') AND waits_seq IS NULL;
CREATE INDEX jobs_leased ON pergola.jobs (tenant, lease_until) WHERE status = 'running' AND waits_seq IS NULL;
CREATE INDEX jobs_waiting ON pergola.jobs (tenant, collection_id) WHERE status = 'running' AND waits_seq IS NOT NULL;
CREATE INDEX jobs_open_of_collection ON pergola.jobs (collection_id) WHERE status IN ('queued', 'running');

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'points' AND tablename ~ '^c[0-9]+_head$' LOOP
        -- Deletions up to `forgotten` are gone from the feed; everything up to `compacted` was looked at.
        EXECUTE format('ALTER TABLE points.%I ADD forgotten bigint NOT NULL DEFAULT 0,'
                       ' ADD compacted bigint NOT NULL DEFAULT 0', name);
    END LOOP;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'points' AND tablename ~ '^c[0-9]+_change$' LOOP
        EXECUTE format('ALTER TABLE points.%I ADD at timestamptz NOT NULL DEFAULT now()', name);
    END LOOP;
END $$;
