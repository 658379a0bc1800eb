"""Constraints and indexes: what is looked for by its id is found without a search."""

from typing import Final

LABELS: Final = ("Follow", "Graph", "Log", "Passage", "Entity", "Alias", "Part", "Merge", "Statement")
"""Of every node this service makes. Each has a `uid`, which begins with the tenant where several share a database."""
_INDEXED: Final = (
    ("Passage", "at"),
    ("Part", "within"),
    ("Statement", "about"),
    ("Statement", "passage"),
    ("Statement", "source"),
    ("Statement", "target"),
    ("Statement", "stamp"),
)

STATEMENTS: Final = (
    *(
        f"CREATE CONSTRAINT {label.lower()}_uid IF NOT EXISTS FOR (n:{label}) REQUIRE n.uid IS UNIQUE"
        for label in LABELS
    ),
    "CREATE CONSTRAINT relates_uid IF NOT EXISTS FOR ()-[r:RELATES]-() REQUIRE r.uid IS UNIQUE",
    *(f"CREATE INDEX {label.lower()}_{name} IF NOT EXISTS FOR (n:{label}) ON (n.{name})" for label, name in _INDEXED),
)
"""Each may be run again; each in a transaction of its own."""
