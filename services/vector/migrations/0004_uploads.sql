-- Uploaded files: their bytes from the first one received until the document is settled, and what deleting a document
-- needs.

-- In parts, so that neither writing nor reading one needs the whole file in one message.
CREATE TABLE pergola.uploads (
    id      uuid PRIMARY KEY,
    tenant  text COLLATE "C" NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    -- Set when a job was accepted for it. Without one it belongs to a call that is under way, or was cut off.
    job_id  uuid REFERENCES pergola.jobs ON DELETE CASCADE
);
CREATE INDEX uploads_of_jobs ON pergola.uploads (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX uploads_left ON pergola.uploads (tenant, created) WHERE job_id IS NULL;

CREATE TABLE pergola.upload_parts (
    upload_id uuid NOT NULL REFERENCES pergola.uploads ON DELETE CASCADE,
    part      int NOT NULL,
    tenant    text COLLATE "C" NOT NULL,
    data      bytea NOT NULL,
    PRIMARY KEY (upload_id, part)
);
-- Most files are compressed already.
ALTER TABLE pergola.upload_parts ALTER data SET STORAGE EXTERNAL;

-- An item of a job is a text, or a file: then `format` is empty until it was parsed.
ALTER TABLE pergola.job_documents
    ADD upload_id uuid REFERENCES pergola.uploads ON DELETE SET NULL,
    ADD media_type text,
    ADD bytes      bigint,
    ADD sha256     bytea;
CREATE INDEX job_documents_of_uploads ON pergola.job_documents (upload_id) WHERE upload_id IS NOT NULL;

ALTER TABLE pergola.documents
    -- A deleted document stays as an empty row, so that a job that was accepted before the deletion doesn't bring it
    -- back; it goes when no such job can be left.
    ADD deleted boolean NOT NULL DEFAULT false,
    -- Whether the last writing made it, or made it anew after a deletion: then it counts as one document more.
    ADD fresh   boolean NOT NULL DEFAULT true;
CREATE INDEX documents_deleted ON pergola.documents (collection_id, accepted) WHERE deleted;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['uploads', 'upload_parts'] LOOP
        EXECUTE format('ALTER TABLE pergola.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE pergola.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_tenant ON pergola.%I USING (tenant = pergola.current_tenant())'
                       ' WITH CHECK (tenant = pergola.current_tenant())', name);
    END LOOP;
    -- The page a passage stands on.
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'points' AND tablename ~ '^c[0-9]+_point$' LOOP
        EXECUTE format('ALTER TABLE points.%I ADD page int', name);
    END LOOP;
END $$;
