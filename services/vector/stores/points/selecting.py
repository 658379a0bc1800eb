"""Points by a filter alone, without a question: counted, and in order."""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from typing import Final

import msgspec

from services.vector.filters.tree import Filter, Order
from services.vector.model import Collection
from services.vector.stores.database.connections import Session
from services.vector.stores.points import conditions
from services.vector.stores.points.conditions import Values
from services.vector.stores.points.layout import Layout
from services.vector.stores.points.terms import vocabulary
from services.vector.stores.points.terms.vocabulary import Vocabulary

SURE: Final = 10_000
"""Up to so many points an estimate is a count."""
_SAMPLE: Final = 20_000
_GLANCE: Final = 400
"""Points that are looked at before any are counted: a few tenths of a millisecond."""
_FAR_MORE: Final = 2
"""How many times as many as are few it has to tell of: it saw few pages, and points of a page are often alike."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a point stands in an order: its id, and as JSON the field's value if the order is by a field."""

    id: str
    value: str | None = None


async def count_all(session: Session, collection: Collection) -> int:
    """How many points there are."""
    found: int = await session.value(f"SELECT points FROM {Layout(collection.id)['head']}")
    return found


async def count(
    session: Session,
    collection: Collection,
    filter: Filter,
    most: int | None = None,
    known: Vocabulary | None = None,
) -> int:
    """How many points fit the filter, counted to `most`. `known`: what the caller has looked up for it already."""
    layout, values = Layout(collection.id), Values()
    condition = conditions.sql(layout, filter, values, known or await vocabulary.needed(session, collection, filter))
    limit = "" if most is None else f"LIMIT {values.bind(most)}"
    found: int = await session.value(
        f"SELECT count(*) FROM (SELECT FROM {layout['point']} p WHERE {condition} {limit}) f", *values.all
    )
    return found


def glance(layout: Layout, condition: str, few: int) -> str:
    """SQL, a query of one row: the `share` of the points that fit the condition, as some pages show it (0 where there
    are too few points for that); how many `points` there are; whether far more than `few` fit (`many`).
    """
    points, far_more = f"(SELECT points FROM {layout['head']})", _FAR_MORE * few
    return f"""
        SELECT share, {points} AS points, share * {points} >= {far_more} AS many FROM (
            SELECT CASE WHEN {points} >= {far_more} THEN (
                SELECT (count(*) FILTER (WHERE {condition}))::float8 / greatest(count(*), 1)
                FROM {layout["point"]} p TABLESAMPLE SYSTEM (least(100, {_GLANCE} * 100.0 / greatest({points}, 1)))
            ) ELSE 0 END AS share OFFSET 0) seen"""


async def count_few(
    session: Session, collection: Collection, filter: Filter, few: int, known: Vocabulary
) -> int | None:
    """How many points fit the filter, counted to `few` + 1; None: a glance at some pages says that they are far more.

    Where half of the points fit, counting ten thousand of them through an index collects all of them first.
    """
    layout, values = Layout(collection.id), Values()
    condition = conditions.sql(layout, filter, values, known)
    found: int | None = await session.value(
        f"""
        SELECT CASE WHEN many THEN NULL ELSE (
            SELECT count(*) FROM (SELECT FROM {layout["point"]} p WHERE {condition} LIMIT {few + 1}) f
        ) END FROM ({glance(layout, condition, few)}) g
        """,
        *values.all,
    )
    return found


async def estimate(session: Session, collection: Collection, filter: Filter) -> int:
    """About how many points fit the filter: counted to SURE, by a random sample of pages beyond."""
    found = await count(session, collection, filter, SURE + 1)
    if found <= SURE:
        return found
    layout, values = Layout(collection.id), Values()
    points = max(1, await count_all(session, collection))
    condition = conditions.sql(layout, filter, values, await vocabulary.needed(session, collection, filter))
    share = values.bind(min(100.0, 100.0 * _SAMPLE / points), "float8")
    row = await session.row(
        f"SELECT count(*) AS seen, count(*) FILTER (WHERE {condition}) AS fitting"
        f" FROM {layout['point']} p TABLESAMPLE SYSTEM ({share})",
        *values.all,
    )
    if row is None or not row["seen"]:
        return found
    share_seen: float = row["fitting"] / row["seen"]
    return max(found, round(points * share_seen))


async def places(
    session: Session,
    collection: Collection,
    filter: Filter | None,
    order: Order | None,
    after: Place | None,
    limit: int,
) -> list[Place]:
    """Places of points that fit, behind `after`, in the order of the field and then of ids, or of ids alone."""
    layout, values = Layout(collection.id), Values()
    known = await vocabulary.needed(session, collection, filter)
    held = ["true" if filter is None else conditions.sql(layout, filter, values, known)]
    value, descending = "NULL::jsonb", ""
    if order is not None:
        value = f"coalesce(p.payload #> {values.bind(list(order.key), 'text[]')}, 'null'::jsonb)"
        descending = "DESC" if order.descending else ""
    if after is not None:
        behind = f"p.id > {values.bind(after.id, 'text')}"
        if order is not None:
            mark = values.bind(after.value, "jsonb")
            behind = f"({value} {'<' if descending else '>'} {mark} OR ({value} = {mark} AND {behind}))"
        held.append(behind)
    by = "p.id" if order is None else f"{value} {descending}, p.id"
    rows = await session.fetch(
        f"SELECT {value} AS value, p.id FROM {layout['point']} p WHERE {' AND '.join(held)}"
        f" ORDER BY {by} LIMIT {values.bind(limit)}",
        *values.all,
    )
    return [Place(row["id"], row["value"]) for row in rows]
