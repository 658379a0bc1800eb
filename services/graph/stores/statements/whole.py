"""The Cypher that reads a whole graph, a page at a time, and counts it; the same on every store.

Pages go by id. A store that sorts by its index needs one statement for a page (`page`). For one that would sort all
that is left for every page, where a page ends is asked first, of any so many ids behind the last page (`bounded_page`):
if it walks its index in order it finds the next ones and reads no more; if not, the page is longer and is cut, and
nothing is missed or told twice either way.

Neo4j must not be asked for what is between two ids of one graph: its index goes by code points, but whether there can
be anything between two strings it judges by UTF-16, so that it finds nothing between "ﬀ" and "🦄". The ends of a whole
graph differ in ASCII, where both agree.
"""

from collections.abc import Sequence
from typing import Final

from services.graph.model import Entity, Evidence, Relation, Stats
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements.entities import ENTITY, entity
from services.graph.stores.statements.relations import relation

_INSIDE: Final = "MATCH (e:Entity) WHERE e.uid > $after AND e.uid < $end"
BOUND: Final = f"{_INSIDE} WITH e.uid AS uid LIMIT $limit RETURN max(uid) AS bound"
BOUNDED: Final = (
    f"MATCH (e:Entity) WHERE e.uid > $after AND e.uid <= $bound RETURN {ENTITY} ORDER BY e.uid LIMIT $limit"
)
PAGE: Final = f"{_INSIDE} RETURN {ENTITY} ORDER BY e.uid LIMIT $limit"
# Two patterns: in one, ArcadeDB would walk relations it then throws away.
MENTIONED: Final = (
    "MATCH (e:Entity) WHERE e.uid IN $uids MATCH (e)<-[m:MENTIONS]-(p:Passage) "
    "WHERE (e.uid > $after OR (e.uid = $after AND p.uid > $passage)) "
    "RETURN e.uid AS uid, e.key AS key, p.uid AS passage, m.document AS document, m.chunk AS chunk, m.name AS text "
    "ORDER BY uid, passage LIMIT $limit"
)
RELATED: Final = (
    "MATCH (s:Entity) WHERE s.uid IN $uids MATCH (s)-[r:RELATES]->(t:Entity) "
    "WHERE (s.uid > $after OR (s.uid = $after AND (t.uid > $target OR (t.uid = $target AND r.type > $type)))) "
    "RETURN s.uid AS uid, t.uid AS target_uid, s.key AS source, t.key AS target, r.type AS type, "
    "properties(r) AS properties ORDER BY uid, target_uid, type LIMIT $limit"
)
ENTITY_TYPES: Final = (
    "MATCH (e:Entity) WHERE e.uid STARTS WITH $inside "
    "RETURN coalesce(e.type, '') AS type, count(*) AS count, sum(e.mentions) AS mentions ORDER BY type"
)
RELATION_TYPES: Final = (
    "MATCH (e:Entity)-[r:RELATES]->(:Entity) WHERE e.uid STARTS WITH $inside "
    "RETURN r.type AS type, count(*) AS count ORDER BY type"
)
PASSAGES: Final = "MATCH (p:Passage) WHERE p.uid STARTS WITH $inside RETURN count(*) AS count"


async def page(transaction: Transaction, place: Place, graph: str, after: str, limit: int) -> tuple[list[Entity], str]:
    """At most `limit` entities behind the key `after`, and what the next page is behind; empty after the last one."""
    inside = place.inside(graph)
    rows = await transaction.run(PAGE, after=inside + after, end=_end(inside), limit=limit)
    found = [entity(row["properties"]) for row in rows]
    return found, found[-1].key if len(found) == limit else ""


async def bounded_page(
    transaction: Transaction, place: Place, graph: str, after: str, limit: int
) -> tuple[list[Entity], str]:
    """What `page` answers, for a store that does not sort by its index."""
    inside = place.inside(graph)
    begin = inside + after
    while True:
        rows = await transaction.run(BOUND, after=begin, end=_end(inside), limit=limit)
        bound = rows[0]["bound"] if rows else None
        if bound is None:
            return [], ""
        found = await transaction.run(BOUNDED, after=begin, bound=bound, limit=limit)
        if found:
            last = inside + str(found[-1]["properties"]["key"]) if len(found) == limit else bound
            return [entity(row["properties"]) for row in found], str(last).removeprefix(inside)
        # All of them went away between the two statements.
        begin = bound


async def mentioned(
    transaction: Transaction, place: Place, graph: str, keys: Sequence[str], after: tuple[str, str], limit: int
) -> list[tuple[str, str, Evidence]]:
    """(Key, id of the passage in the store, mention), behind the (key, passage) `after`."""
    rows = await transaction.run(
        MENTIONED,
        uids=[place.inside(graph, key) for key in keys],
        after=place.inside(graph, after[0]),
        passage=after[1],
        limit=limit,
    )
    return [(row["key"], row["passage"], Evidence(row["document"], row["chunk"], row["text"])) for row in rows]


async def related(
    transaction: Transaction, place: Place, graph: str, keys: Sequence[str], after: Relation | None, limit: int
) -> list[Relation]:
    """Relations that begin at one of the entities, behind the relation `after`."""
    rows = await transaction.run(
        RELATED,
        uids=[place.inside(graph, key) for key in keys],
        after=place.inside(graph, after.source if after else ""),
        target=place.inside(graph, after.target if after else ""),
        type=after.type if after else "",
        limit=limit,
    )
    return [relation(graph, row["source"], row["target"], row["properties"]) for row in rows]


async def stats(transaction: Transaction, place: Place, graph: str) -> Stats:
    inside = place.inside(graph)
    entities = await transaction.run(ENTITY_TYPES, inside=inside)
    relations = await transaction.run(RELATION_TYPES, inside=inside)
    passages = await transaction.run(PASSAGES, inside=inside)
    return Stats(
        entity_types={row["type"]: row["count"] for row in entities},
        relation_types={row["type"]: row["count"] for row in relations},
        passage_count=passages[0]["count"],
        mention_count=sum(row["mentions"] for row in entities),
    )


def _end(inside: str) -> str:
    """What is behind every id of a graph: its slash is replaced by the character after it."""
    return inside[:-1] + "0"
