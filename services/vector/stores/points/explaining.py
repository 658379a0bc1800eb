"""What a search goes by, read beside it: sizes, words in points, PostgreSQL's plan."""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.vector.model import Collection
from services.vector.stores.database.connections import Session
from services.vector.stores.points import arms, lexicon, search
from services.vector.stores.points.conditions import Values
from services.vector.stores.points.layout import Layout
from services.vector.stores.points.search import Plan, Want
from services.vector.stores.points.terms import matching
from services.vector.stores.points.terms.vocabulary import Vocabulary

CANDIDATES: Final = matching.CANDIDATES
"""Words bring points in as long as together they stand in at most so many."""
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'")
_LONG: Final = 80


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the collection holds."""

    points: int
    average_length: float
    """Words of a point."""
    indexed: int
    """Vectors that are, or will be, under the index."""
    unindexed: int


@dataclass(frozen=True, slots=True)
class Reached:
    """How many points the lexical arm looked at: brought in by rare words, by common ones, and scored."""

    rare: int
    next: int
    """By the rarest of the common words."""
    rest: int
    """By all of them."""
    found: int


@dataclass(frozen=True, slots=True)
class Held:
    """How many words a point has, and how often each of those asked for."""

    length: int
    counts: dict[str, int]


def order(word: str, points: int) -> tuple[int, bytes]:
    """Sorts words as the lexical arm takes them: rarest first."""
    return points, lexicon.key(word)


def width(want: Want) -> int:
    """Width of the index search for it."""
    return arms.width(search.depth_of(want), want.ef, filtered=want.filter is not None)


async def sizes(session: Session, collection: Collection) -> Sizes:
    """How much there is."""
    t = Layout(collection.id)
    row = await session.row(
        f"SELECT points, words, (SELECT count(*) FROM {t['vector']}) AS indexed,"
        f" (SELECT count(*) FROM {t['delta']}) AS unindexed FROM {t['head']}"
    )
    assert row is not None  # noqa: S101 - the table has one row
    average = max(row["words"], 1) / max(row["points"], 1)
    return Sizes(row["points"], average, row["indexed"], row["unindexed"])


async def reached(session: Session, collection: Collection, want: Want, plan: Plan, known: Vocabulary) -> Reached:
    """What the lexical arm of that search looked at."""
    values = Values()
    narrowed = search.narrowing(collection, want, plan.route, known, values)
    row = await session.row(
        f"WITH {narrowed.ctes()} {search.lexical_arm(collection, want, narrowed, values, all_scored=True)}"
        " SELECT (SELECT count(*) FROM rare) AS rare, (SELECT count(*) FROM next) AS next,"
        " (SELECT count(*) FROM rest) AS rest, (SELECT count(*) FROM matching) AS found",
        *values.all,
    )
    assert row is not None  # noqa: S101 - a statement without FROM has one row
    return Reached(row["rare"], row["next"], row["rest"], row["found"])


async def held(session: Session, collection: Collection, ids: Sequence[str], words: Sequence[str]) -> dict[str, Held]:
    """By the point's id, what it has of these words."""
    t = Layout(collection.id)
    rows = await session.fetch(
        f"SELECT p.id, l.length, l.weights FROM {t['point']} p JOIN {t['lexical']} l USING (n)"
        " WHERE p.id = ANY($1::text[])",
        list(ids),
    )
    return {
        row["id"]: Held(row["length"], {one: n for one in words if (n := lexicon.count(row["weights"], one))})
        for row in rows
    }


async def plan(session: Session, collection: Collection, want: Want, plan: Plan, known: Vocabulary) -> str:
    """PostgreSQL's plan of the statement, run once more; long values in it are cut."""
    text, values = search.statement(collection, want, plan.route, known)
    rows = await session.fetch(f"EXPLAIN (ANALYZE, BUFFERS, SETTINGS OFF) {text}", *values)
    whole = "\n".join(row[0] for row in rows)
    return _LITERAL.sub(lambda found: found[0] if len(found[0]) <= _LONG else f"{found[0][:_LONG]}…'", whole)
