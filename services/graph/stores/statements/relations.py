"""The Cypher that follows relations; the same on every store.

Directions are read one after the other: a pattern without a direction would not say which end it began at, and meet a
relation of an entity to itself a different number of times from store to store.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.graph.model import Relation, RelationKey
from services.graph.reading.along import Along, Direction, Step
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements.entities import own
from services.graph.stores.statements.writing.given import about

_ARROWS: Final = {Direction.OUT: "-[r:RELATES]->", Direction.IN: "<-[r:RELATES]-"}
_LET_THROUGH: Final = (
    "($loops OR o.uid <> e.uid) AND ($relation_types = [] OR r.type IN $relation_types) "
    "AND ($min_weight IS NULL OR r.weight >= $min_weight) "
    "AND (o.uid IN $always OR (($entity_types = [] OR o.type IN $entity_types) "
    "AND all(name IN keys($properties) WHERE o[name] = $properties[name])))"
)
_NO_LOOPS: Final = "o.uid <> e.uid"
_CONDITIONS: Final = ("", _NO_LOOPS, _LET_THROUGH)
"""Of an entity with 30,000 relations each is looked at: no more is asked of it than may keep it out."""


def _each(statement: str) -> Mapping[tuple[Direction, str], str]:
    """A statement by direction and condition. `<other>`: where the relation, its other end and the condition stand."""
    return {
        (direction, condition): statement.replace(
            "<other>", f"{arrow}(o:Entity){f' WHERE {condition}' if condition else ''}"
        )
        for direction, arrow in _ARROWS.items()
        for condition in _CONDITIONS
    }


STEPS: Final = _each(
    "UNWIND $uids AS uid CALL { WITH uid MATCH (e:Entity {uid: uid})<other> "
    "RETURN e.key AS origin, o.key AS end, r.type AS type, r.weight AS weight "
    "ORDER BY weight DESC, end, type LIMIT $each } RETURN origin, end, type, weight LIMIT $most"
)
# Lists rather than rows: these are most of the driver's work.
EDGES: Final = _each(
    "UNWIND $uids AS uid MATCH (e:Entity {uid: uid})<other> "
    "WITH e.key AS origin, o.key AS end, r.type AS type, r.weight AS weight LIMIT $most "
    "RETURN origin, collect(end) AS ends, collect(type) AS types, collect(weight) AS weights"
)
NEIGHBORS: Final = _each(
    "MATCH (e:Entity {uid: $uid})<other> "
    "WITH e, o, r WHERE $weight IS NULL OR r.weight < $weight OR (r.weight = $weight AND (o.key > $end "
    "OR (o.key = $end AND (r.type > $type OR ($again AND r.type = $type))))) "
    "RETURN e.key AS origin, o.key AS end, r.type AS type, r.weight AS weight "
    "ORDER BY weight DESC, end, type LIMIT $limit"
)
# By their own ids: looked for at one of its ends, each would take a walk over all relations that this has.
RELATIONS: Final = "MATCH ()-[r:RELATES]->() WHERE r.uid IN $uids RETURN r.uid AS uid, properties(r) AS properties"


async def steps(
    transaction: Transaction,
    place: Place,
    graph: str,
    keys: Sequence[str],
    along: Along,
    *,
    each: int,
    most: int,
) -> list[Step]:
    uids = [place.inside(graph, key) for key in keys]
    found: list[Step] = []
    for direction in _directions(along):
        given = _let_through(place, graph, along, (), direction)
        statement = STEPS[direction, _condition(along, direction)]
        rows = await transaction.run(statement, uids=uids, each=each, most=most - len(found), **given)
        found += _steps(direction, rows)
        if len(found) >= most:
            break
    return sorted(found, key=rank)


async def edges(
    transaction: Transaction,
    place: Place,
    graph: str,
    keys: Sequence[str],
    along: Along,
    *,
    most: int,
    always: Sequence[str],
) -> list[Step]:
    uids = [place.inside(graph, key) for key in keys]
    found: list[Step] = []
    for direction in _directions(along):
        given = _let_through(place, graph, along, always, direction)
        statement = EDGES[direction, _condition(along, direction)]
        for row in await transaction.run(statement, uids=uids, most=most - len(found), **given):
            origin = row["origin"]
            for end, type, weight in zip(row["ends"], row["types"], row["weights"], strict=True):
                found.append(_step(direction, origin, end, type, weight))
        if len(found) >= most:
            break
    return found


async def neighbors(
    transaction: Transaction, place: Place, graph: str, key: str, along: Along, after: Step | None, limit: int
) -> list[Step]:
    found: list[Step] = []
    for direction in _directions(along):
        rows = await transaction.run(
            NEIGHBORS[direction, _condition(along, direction)],
            uid=place.inside(graph, key),
            weight=after.weight if after else None,
            end=after.end if after else "",
            type=after.relation.type if after else "",
            again=after is not None
            and after.leads_away
            and (direction, along.direction) == (Direction.IN, Direction.BOTH),
            limit=limit,
            **_let_through(place, graph, along, (), direction),
        )
        found += _steps(direction, rows)
    return sorted(found, key=rank)[:limit]


async def relations(
    transaction: Transaction, place: Place, graph: str, wanted: Sequence[RelationKey]
) -> list[Relation]:
    by_uid = {about(place, graph, one): one for one in wanted}
    rows = await transaction.run(RELATIONS, uids=sorted(by_uid))
    found = ((by_uid[row["uid"]], row["properties"]) for row in rows)
    return [relation(graph, key.source, key.target, properties) for key, properties in found]


def relation(graph: str, source: str, target: str, properties: Mapping[str, Any]) -> Relation:
    """Of the keys of its ends."""
    return Relation(
        graph=graph,
        source=source,
        target=target,
        type=properties["type"],
        weight=float(properties["weight"]),
        properties=own(properties),
        manual=bool(properties.get("manual")),
    )


def rank(step: Step) -> tuple[float, str, str, bool]:
    """The order of the relations of one entity: heaviest first, then by where they lead, their type and direction."""
    return (-step.weight, step.end, step.relation.type, not step.leads_away)


def _again(after: Step | None, along: Along, direction: Direction) -> bool:
    """Whether one that comes in and is else like `after` is behind it: of two such the one that leads away is first."""
    return after is not None and after.leads_away and direction is Direction.IN and along.direction is Direction.BOTH


def _directions(along: Along) -> Sequence[Direction]:
    return (Direction.OUT, Direction.IN) if along.direction is Direction.BOTH else (along.direction,)


def _condition(along: Along, direction: Direction) -> str:
    """What keeps a relation from being followed: what was asked, or that its other end has told it already."""
    if along.passes_over:
        return _LET_THROUGH
    return _NO_LOOPS if (along.direction, direction) == (Direction.BOTH, Direction.IN) else ""


def _let_through(place: Place, graph: str, along: Along, always: Sequence[str], direction: Direction) -> dict[str, Any]:
    return {
        # A relation of an entity to itself is met on its way out.
        "loops": direction is Direction.OUT or along.direction is Direction.IN,
        "relation_types": list(along.relation_types),
        "entity_types": list(along.entity_types),
        "properties": dict(along.properties),
        "min_weight": along.min_weight,
        "always": [place.inside(graph, key) for key in always],
    }


def _steps(direction: Direction, rows: Sequence[Mapping[str, Any]]) -> list[Step]:
    return [_step(direction, row["origin"], row["end"], row["type"], row["weight"]) for row in rows]


def _step(direction: Direction, origin: str, end: str, type: str, weight: float) -> Step:
    ends = (origin, end) if direction is Direction.OUT else (end, origin)
    return Step(origin, RelationKey(*ends, type), float(weight))
