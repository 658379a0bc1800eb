-- The catalogue: one row a collection. The points themselves live in tables of their own, one set a collection, in
-- the schema "points"; see stores/points/layout.py.

CREATE SCHEMA points;

CREATE TABLE pergola.collections (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant          text COLLATE "C" NOT NULL,
    name            text COLLATE "C" NOT NULL,
    incarnation     text NOT NULL,
    dimension       int NOT NULL CHECK (dimension BETWEEN 1 AND 4000),
    distance        text NOT NULL CHECK (distance IN ('cosine', 'inner_product', 'l2')),
    storage         text NOT NULL CHECK (storage IN ('halfvec', 'vector')),
    embedding_model text NOT NULL,
    graph           boolean NOT NULL,
    k1              double precision NOT NULL DEFAULT 1.2,
    b               double precision NOT NULL DEFAULT 0.75,
    version         int NOT NULL DEFAULT 1,
    created         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, name)
);

-- Answers of calls that carry a request id, kept for 24 hours.
CREATE TABLE pergola.requests (
    tenant     text COLLATE "C" NOT NULL,
    method     text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    body_hash  bytea NOT NULL,
    answer     bytea,
    created    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, method, request_id)
);
CREATE INDEX requests_by_age ON pergola.requests (tenant, created);

-- How far each consumer of a collection's changes is. Outlives the collection, so that a consumer that comes back is
-- told when the collection is another one of the same name.
CREATE TABLE pergola.consumers (
    tenant       text COLLATE "C" NOT NULL,
    collection   text COLLATE "C" NOT NULL,
    consumer     text COLLATE "C" NOT NULL,
    incarnation  text NOT NULL,
    seq          bigint NOT NULL,
    acknowledged timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, collection, consumer)
);
