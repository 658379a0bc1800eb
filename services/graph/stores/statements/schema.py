"""What is unique in a database, and so has an index; the same on every store."""

from typing import Final

LABELS: Final = ("Follow", "Passage", "Entity")
"""Of every node this service makes. Each has a `uid`, which begins with the tenant where several share a database."""

STATEMENTS: Final = tuple(
    f"CREATE CONSTRAINT {label.lower()}_uid IF NOT EXISTS FOR (n:{label}) REQUIRE n.uid IS UNIQUE" for label in LABELS
)
