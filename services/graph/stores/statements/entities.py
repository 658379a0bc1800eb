"""The Cypher that finds entities by their names; the same on every store."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.graph.model import RESERVED, Entity, Named
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place

ALIAS_END: Final = "\x1f"
"""Stands behind the name in the id of an alias, before the key of what it names."""
ENTITY: Final = "properties(e) AS properties"
_FIRST: Final = f"RETURN {ENTITY} ORDER BY e.mentions DESC, e.key LIMIT $limit"
_TYPED: Final = "($types = [] OR e.type IN $types)"

KEYED: Final = f"MATCH (e:Entity) WHERE e.uid IN $uids RETURN {ENTITY} ORDER BY e.graph, e.key"
# Keys and other names by the beginning of an id, which has an index.
LONGER: Final = f"MATCH (e:Entity) WHERE e.uid STARTS WITH $uid AND e.uid <> $uid AND {_TYPED} {_FIRST}"
ALIASED: Final = (
    f"MATCH (a:Alias) WHERE a.uid STARTS WITH $begin MATCH (a)-[:NAMES]->(e:Entity) WHERE {_TYPED} "
    f"WITH DISTINCT e {_FIRST}"
)
FOREMOST: Final = f"MATCH (e:Entity) WHERE e.uid STARTS WITH $inside AND {_TYPED} {_FIRST}"
_NEAR: Final = (
    "size({name}) >= $shortest AND size({name}) <= $longest AND any(piece IN $pieces WHERE {name} CONTAINS piece) "
)
SIMILAR: Final = (
    f"MATCH (e:Entity) WHERE e.uid STARTS WITH $inside AND {_NEAR.format(name='e.key')} AND {_TYPED} "
    "RETURN e.key AS key, e.key AS name, e.mentions AS mentions ORDER BY mentions DESC, key LIMIT $limit"
)
SIMILAR_ALIASES: Final = (
    f"MATCH (a:Alias) WHERE a.uid STARTS WITH $inside AND {_NEAR.format(name='a.folded')} "
    f"MATCH (a)-[:NAMES]->(e:Entity) WHERE {_TYPED} "
    "RETURN e.key AS key, a.folded AS name, e.mentions AS mentions ORDER BY mentions DESC, key LIMIT $limit"
)
PARTS: Final = "MATCH (x:Part) WHERE x.uid IN $uids RETURN x.key AS key, x.root AS root"


async def keyed(transaction: Transaction, uids: Sequence[str]) -> list[Entity]:
    return _entities(await transaction.run(KEYED, uids=uids))


async def resolve(transaction: Transaction, place: Place, graph: str, keys: Sequence[str]) -> dict[str, Entity]:
    merged = await transaction.run(PARTS, uids=[place.inside(graph, key) for key in keys])
    roots = {key: key for key in keys} | {row["key"]: row["root"] for row in merged}
    found = {
        one.key: one for one in await keyed(transaction, sorted({place.inside(graph, key) for key in roots.values()}))
    }
    return {key: found[root] for key, root in roots.items() if root in found}


async def named(
    transaction: Transaction, place: Place, graph: str, form: str, types: Sequence[str], limit: int, *, longer: bool
) -> list[Named]:
    uid = place.inside(graph, form)
    given = {"types": list(types), "limit": limit}
    exact = [one for one in await keyed(transaction, [uid]) if not types or one.type in types]
    exact += _entities(await transaction.run(ALIASED, begin=uid + ALIAS_END, **given))
    found = {one.key: Named(one, whole=True) for one in exact}
    if longer and len(found) < limit:
        begin = _entities(await transaction.run(LONGER, uid=uid, **given))
        begin += _entities(await transaction.run(ALIASED, begin=uid, **given))
        for one in sorted(begin, key=lambda one: (-one.mention_count, one.key)):
            found.setdefault(one.key, Named(one, whole=False))
    return list(found.values())[:limit]


async def similar(
    transaction: Transaction,
    place: Place,
    graph: str,
    pieces: Sequence[str],
    lengths: tuple[int, int],
    types: Sequence[str],
    limit: int,
) -> list[tuple[str, str]]:
    given = {
        "inside": place.inside(graph),
        "pieces": list(pieces),
        "shortest": lengths[0],
        "longest": lengths[1],
        "types": list(types),
        "limit": limit,
    }
    rows = [*await transaction.run(SIMILAR, **given), *await transaction.run(SIMILAR_ALIASES, **given)]
    rows.sort(key=lambda row: (-row["mentions"], row["key"], row["name"]))
    return [(row["key"], row["name"]) for row in rows[:limit]]


async def foremost(
    transaction: Transaction, place: Place, graph: str, types: Sequence[str], limit: int
) -> list[Entity]:
    return _entities(await transaction.run(FOREMOST, inside=place.inside(graph), types=list(types), limit=limit))


def own(properties: Mapping[str, Any]) -> dict[str, Any]:
    """What callers gave, without what is the service's own; sorted, so that two stores say the same."""
    return {name: properties[name] for name in sorted(properties) if name not in RESERVED and not name.startswith("_")}


def entity(properties: Mapping[str, Any]) -> Entity:
    return Entity(
        graph=properties["graph"],
        key=properties["key"],
        name=properties["name"],
        mention_count=properties["mentions"],
        type=properties.get("type") or "",
        aliases=sorted(properties.get("aliases") or ()),
        properties=own(properties),
        manual=bool(properties.get("manual")),
    )


def _entities(rows: Sequence[Mapping[str, Any]]) -> list[Entity]:
    return [entity(row["properties"]) for row in rows]
