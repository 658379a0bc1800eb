"""The tables of one collection. They are reached through the tenant's catalogue row, never by a name from outside.

    point    what a point is: id, chunk, payload
    delta    vectors that are in no index yet; scanned exactly
    vector   vectors under the HNSW index
    lexical  the words of a point: how often each occurs, how they follow each other, and their outline
    term     in how many points a word occurs
    head     one row: the number of the last change, and the sums that BM25 and GetCollection need
    change   what happened, numbered without gaps
    kept     vectors of texts that are no points, by the text's hash

A vector is in `delta` or in `vector`, never in both. Vectors stand apart from payloads, because an update of a row
writes all of it anew; and a writer never touches the index, because inserting into a live HNSW is thirty times slower
than into a plain table.
"""

from dataclasses import dataclass
from typing import Final

from services.vector.model import Collection, Distance
from services.vector.stores.points.terms import outlines

OPERATORS: Final[dict[Distance, str]] = {"cosine": "<=>", "inner_product": "<#>", "l2": "<->"}
_CLASSES: Final[dict[Distance, str]] = {"cosine": "cosine_ops", "inner_product": "ip_ops", "l2": "l2_ops"}
SCHEMA: Final = "points"
_TABLES: Final = ("point", "delta", "vector", "lexical", "term", "head", "change", "kept")


@dataclass(frozen=True, slots=True)
class Layout:
    """Names, for SQL texts: made of a number of the catalogue alone."""

    id: int

    def bare(self, table: str) -> str:
        return f"c{self.id}_{table}"

    def __getitem__(self, table: str) -> str:
        return f"{SCHEMA}.c{self.id}_{table}"


def create(collection: Collection, app: str) -> str:
    """DDL for the tables of a new collection, to be run by the owner; `app` gets its rights."""
    t = Layout(collection.id)
    numbers = f"{collection.storage}({collection.dimension})"
    # A row that is kept in line must fit into a page.
    place = "PLAIN" if collection.indexed else "EXTERNAL"
    tables = ", ".join(t[table] for table in _TABLES)
    return f"""
        CREATE SEQUENCE {t["n"]};
        CREATE TABLE {t["point"]} (
            n            bigint PRIMARY KEY,
            id           text COLLATE "C" NOT NULL UNIQUE,
            document     text COLLATE "C",
            title        text,
            passage      text,
            position     int,
            heading_path text[],
            start_offset int,
            end_offset   int,
            page         int,
            payload      jsonb NOT NULL,
            -- What stands before it, where it was embedded and indexed with that.
            before       text
        );
        CREATE INDEX ON {t["point"]} (document, position) WHERE document IS NOT NULL;
        CREATE INDEX ON {t["point"]} USING gin (payload jsonb_path_ops) WITH (gin_pending_list_limit = 1024);
        CREATE TABLE {t["delta"]} (n bigint PRIMARY KEY, embedding {numbers} NOT NULL);
        CREATE TABLE {t["vector"]} (n bigint PRIMARY KEY, embedding {numbers} NOT NULL);
        -- Out of line, a vector would have to be fetched from elsewhere for every comparison.
        ALTER TABLE {t["delta"]} ALTER embedding SET STORAGE {place};
        ALTER TABLE {t["vector"]} ALTER embedding SET STORAGE {place};
        CREATE TABLE {t["lexical"]} (
            n       bigint PRIMARY KEY,
            length  int NOT NULL,
            -- NULL, as `sequence`, where an older version wrote the row: brought up by maintenance.
            once    {outlines.TYPE},
            again   {outlines.TYPE},
            times   {outlines.TYPE},
            terms   int[] NOT NULL,
            weights bytea NOT NULL,
            sequence bytea
        ) WITH (toast_tuple_target = 8160);
        -- What waits to be merged into the index is read whole by every search: keep it short.
        CREATE INDEX ON {t["lexical"]} USING gin (terms) WITH (gin_pending_list_limit = 1024);
        CREATE TABLE {t["term"]} (
            key    bytea PRIMARY KEY,
            word   text COLLATE "C" NOT NULL,
            points int NOT NULL
        ) WITH (fillfactor = 70);
        -- For beginnings of words.
        CREATE INDEX ON {t["term"]} (word);
        CREATE TABLE {t["head"]} (
            only_one  boolean PRIMARY KEY DEFAULT true CHECK (only_one),
            seq       bigint NOT NULL DEFAULT 0,
            points    bigint NOT NULL DEFAULT 0,
            documents bigint NOT NULL DEFAULT 0,
            words     bigint NOT NULL DEFAULT 0,
            forgotten bigint NOT NULL DEFAULT 0,
            compacted bigint NOT NULL DEFAULT 0
        ) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 500);
        INSERT INTO {t["head"]} DEFAULT VALUES;
        CREATE TABLE {t["change"]} (
            seq     bigint PRIMARY KEY,
            id      text COLLATE "C" NOT NULL,
            deleted boolean NOT NULL,
            at      timestamptz NOT NULL DEFAULT now()
        );
        CREATE TABLE {t["kept"]} (
            hash      bytea PRIMARY KEY,
            asked     date NOT NULL DEFAULT current_date,
            embedding halfvec({collection.dimension}) NOT NULL
        );
        GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO "{app}";
        GRANT USAGE ON SEQUENCE {t["n"]} TO "{app}";
    """


def drop(collection_id: int) -> str:
    """DDL that removes a collection's tables."""
    t = Layout(collection_id)
    return f"DROP TABLE {', '.join(t[table] for table in _TABLES)}; DROP SEQUENCE {t['n']};"


def index(collection: Collection) -> str:
    """DDL of the HNSW index: m and ef_construction are pgvector's defaults."""
    t = Layout(collection.id)
    operators = f"{collection.storage}_{_CLASSES[collection.distance]}"
    return f"CREATE INDEX CONCURRENTLY {t.bare('hnsw')} ON {t['vector']} USING hnsw (embedding {operators})"
