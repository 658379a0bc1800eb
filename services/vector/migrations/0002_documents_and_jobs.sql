-- Documents: the newest accepted state of each, with the text its passages' offsets point into.
CREATE TABLE pergola.documents (
    collection_id bigint NOT NULL REFERENCES pergola.collections ON DELETE CASCADE,
    id            text COLLATE "C" NOT NULL,
    tenant        text COLLATE "C" NOT NULL,
    title         text NOT NULL,
    format        text NOT NULL,
    metadata      jsonb NOT NULL,
    text          text NOT NULL,
    -- Over everything that decides what the chunks are: equal means there is nothing to do.
    hash          bytea NOT NULL,
    -- Number of the job that brought this state. Jobs of one collection may overlap; the one accepted last wins.
    accepted      bigint NOT NULL,
    chunks        int NOT NULL,
    created       timestamptz NOT NULL DEFAULT now(),
    updated       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection_id, id)
);

-- The queue. All times are this database's; whoever works on a job holds `fence`, and every write of a worker locks
-- the row by it.
CREATE TABLE pergola.jobs (
    number           bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    id               uuid PRIMARY KEY,
    tenant           text COLLATE "C" NOT NULL,
    kind             text NOT NULL,
    collection_id    bigint NOT NULL,
    collection       text COLLATE "C" NOT NULL,
    status           text NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
    -- Changes with every claim and every cancellation: an older holder's writes then find no row.
    fence            bigint NOT NULL DEFAULT 0,
    attempt          int NOT NULL DEFAULT 0,
    -- Attempts that ended badly, at all and since the checkpoint last moved.
    failed_attempts  int NOT NULL DEFAULT 0,
    crashes_here     int NOT NULL DEFAULT 0,
    run_after        timestamptz NOT NULL DEFAULT now(),
    lease_until      timestamptz,
    -- Checkpoint: items before this position are settled.
    position         int NOT NULL DEFAULT 0,
    total            int NOT NULL,
    done             int NOT NULL DEFAULT 0,
    failed           int NOT NULL DEFAULT 0,
    unchanged        int NOT NULL DEFAULT 0,
    chunks           int NOT NULL DEFAULT 0,
    error_reason     text,
    error_message    text,
    last_event       int NOT NULL DEFAULT 0,
    created          timestamptz NOT NULL DEFAULT now(),
    started          timestamptz,
    ended            timestamptz
);
CREATE INDEX jobs_of_tenant ON pergola.jobs (tenant, number DESC);
CREATE INDEX jobs_of_collection ON pergola.jobs (tenant, collection, number DESC);
CREATE INDEX jobs_open ON pergola.jobs (run_after) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_last_served ON pergola.jobs (tenant, started DESC NULLS LAST);
CREATE INDEX jobs_ended ON pergola.jobs (tenant, ended) WHERE ended IS NOT NULL;

-- What a job works through. The text is here from acceptance until its document is settled.
CREATE TABLE pergola.job_documents (
    job_id      uuid NOT NULL REFERENCES pergola.jobs ON DELETE CASCADE,
    position    int NOT NULL,
    tenant      text COLLATE "C" NOT NULL,
    document_id text COLLATE "C" NOT NULL,
    title       text NOT NULL,
    format      text NOT NULL,
    metadata    jsonb NOT NULL,
    text        text,
    PRIMARY KEY (job_id, position)
);

-- Every state a job went through, in order; `cursor` counts from 1.
CREATE TABLE pergola.job_events (
    job_id uuid NOT NULL REFERENCES pergola.jobs ON DELETE CASCADE,
    cursor int NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    state  jsonb NOT NULL,
    PRIMARY KEY (job_id, cursor)
);

-- Failures and warnings, each with the event that first shows it.
CREATE TABLE pergola.job_notes (
    job_id   uuid NOT NULL REFERENCES pergola.jobs ON DELETE CASCADE,
    number   bigint GENERATED ALWAYS AS IDENTITY,
    cursor   int NOT NULL,
    tenant   text COLLATE "C" NOT NULL,
    kind     text NOT NULL CHECK (kind IN ('failure', 'warning')),
    document text NOT NULL,
    reason   text NOT NULL,
    message  text NOT NULL,
    PRIMARY KEY (job_id, number)
);
-- A warning is said once a job.
CREATE UNIQUE INDEX job_warnings_once ON pergola.job_notes (job_id, reason) WHERE kind = 'warning';
