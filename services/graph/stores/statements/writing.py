"""The Cypher that keeps passages, entities and mentions: differences are worked out here, then written in batches.

Nodes first, relations second, each sorted by its id, so that two writers take locks in the same order. An entity lives
by its mentions: `mentions` counts them, and its name is that of the mention whose `form` comes first, whatever the
order in which they came. So what is left after a passage is gone is what would be there had it never come.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.graph.extraction.names import Name
from services.graph.model import Passage
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place

_STANDING: Final = """
MATCH (p:Passage) WHERE p.uid IN $uids
OPTIONAL MATCH (p)-[m:MENTIONS]->(e:Entity)
RETURN p.uid AS passage, e.uid AS entity, m.form AS form, m.weight AS weight, m.document AS document, m.chunk AS chunk
"""
_TOUCHED: Final = "MATCH (e:Entity) WHERE e.uid IN $uids RETURN e.uid AS uid, e.mentions AS mentions, e.form AS form"
_PASSAGES: Final = """
UNWIND $rows AS r MERGE (p:Passage {uid: r.uid})
SET p.graph = r.graph, p.id = r.id, p.document = r.document, p.title = r.title, p.index = r.index
"""
_ENTITIES: Final = """
UNWIND $rows AS r MERGE (e:Entity {uid: r.uid})
SET e.graph = r.graph, e.key = r.key, e.mentions = r.mentions, e.form = r.form, e.name = substring(r.form, 1)
"""
_UNLINK: Final = """
UNWIND $rows AS r MATCH (p:Passage {uid: r.passage})-[m:MENTIONS]->(e:Entity {uid: r.entity}) DELETE m
"""
_LINK: Final = """
UNWIND $rows AS r MATCH (p:Passage {uid: r.passage}) MATCH (e:Entity {uid: r.entity})
CREATE (p)-[:MENTIONS {name: r.name, form: r.form, weight: r.weight, document: r.document, chunk: r.chunk}]->(e)
"""
_REMOVE_PASSAGES: Final = "UNWIND $uids AS uid MATCH (p:Passage {uid: uid}) DETACH DELETE p"
_REMOVE_ENTITIES: Final = "UNWIND $uids AS uid MATCH (e:Entity {uid: uid}) DETACH DELETE e"
_FORMS_LEFT: Final = """
UNWIND $uids AS uid MATCH (e:Entity {uid: uid})<-[m:MENTIONS]-(:Passage) RETURN e.uid AS uid, min(m.form) AS form
"""
_RENAME: Final = """
UNWIND $rows AS r MATCH (e:Entity {uid: r.uid}) SET e.form = r.form, e.name = substring(r.form, 1)
"""
_CLEAR: Final = {
    label: f"MATCH (n:{label}) WHERE n.uid STARTS WITH $prefix WITH n LIMIT $limit DETACH DELETE n "
    "RETURN count(*) AS gone"
    for label in ("Passage", "Entity")
}


def form(name: str) -> str:
    """What orders the writings of one name: mixed case before capitals before lower case, then by their letters.

    One character, then the name.
    """
    if name.islower():
        return "2" + name
    return ("1" if name.isupper() else "0") + name


@dataclass(slots=True)
class _Entity:
    mentions: int
    form: str | None
    """None: no mention is known yet."""
    lost: set[str] = field(default_factory=set)
    """Forms of mentions that go."""


async def apply(
    transaction: Transaction, place: Place, graph: str, upserts: Sequence[Passage], deletes: Sequence[str]
) -> int:
    """Makes the graph hold `upserts` and not `deletes` (ids that are in one of them only, and once). Returns by how
    many its passages grew."""
    coming = {place.inside(graph, one.id): one for one in upserts}
    going = {place.inside(graph, one) for one in deletes}
    standing, links = await _standing(transaction, sorted(coming.keys() | going))
    wanted = {
        (passage, place.inside(graph, name.key)): _mention(name, one)
        for passage, one in coming.items()
        for name in one.names
    }
    unlinked = [pair for pair in links if wanted.get(pair) != links[pair]]
    linked = [pair for pair in wanted if wanted[pair] != links.get(pair)]
    touched = await _touched(transaction, {entity for _, entity in (*unlinked, *linked)})
    for pair in unlinked:
        one = touched[pair[1]]
        one.mentions -= 1
        one.lost.add(links[pair]["form"])
    for pair in linked:
        one = touched.setdefault(pair[1], _Entity(0, None))
        one.mentions += 1
        written = wanted[pair]["form"]
        one.form = written if one.form is None else min(one.form, written)
    orphans = sorted(uid for uid, one in touched.items() if one.mentions == 0)
    # A mention that goes may be the one that named the entity; another one like it may come or stay.
    doubtful = sorted(uid for uid, one in touched.items() if one.mentions and one.form in one.lost)

    await _run(transaction, _PASSAGES, [_passage(uid, graph, coming[uid]) for uid in sorted(coming)])
    skip = len(place.inside(graph))
    rows = [
        {"uid": uid, "graph": graph, "key": uid[skip:], "mentions": one.mentions, "form": one.form}
        for uid, one in sorted(touched.items())
        if one.mentions
    ]
    await _run(transaction, _ENTITIES, rows)
    await _run(transaction, _UNLINK, [{"passage": p, "entity": e} for p, e in sorted(unlinked, key=_by_entity)])
    await _run(
        transaction,
        _LINK,
        [{"passage": p, "entity": e, **wanted[p, e]} for p, e in sorted(linked, key=_by_entity)],
    )
    gone = sorted(going & standing)
    if gone:
        await transaction.run(_REMOVE_PASSAGES, uids=gone)
    if orphans:
        await transaction.run(_REMOVE_ENTITIES, uids=orphans)
    if doubtful:
        await transaction.run(_RENAME, rows=await transaction.run(_FORMS_LEFT, uids=doubtful))
    return len(coming.keys() - standing) - len(gone)


async def clear(transaction: Transaction, place: Place, graph: str, limit: int) -> bool:
    """Removes up to `limit` passages, or entities when there are no passages left; True when nothing was left."""
    for statement in _CLEAR.values():
        rows = await transaction.run(statement, prefix=place.inside(graph), limit=limit)
        if rows and rows[0]["gone"]:
            return False
    return True


async def _standing(
    transaction: Transaction, uids: Sequence[str]
) -> tuple[set[str], dict[tuple[str, str], dict[str, Any]]]:
    """Which of the passages there are, and what they mention."""
    passages: set[str] = set()
    links: dict[tuple[str, str], dict[str, Any]] = {}
    for row in await transaction.run(_STANDING, uids=uids):
        passages.add(row["passage"])
        if row["entity"] is not None:
            written = row["form"]
            links[row["passage"], row["entity"]] = {
                "name": written[1:],
                "form": written,
                "weight": row["weight"],
                "document": row["document"],
                "chunk": row["chunk"],
            }
    return passages, links


async def _touched(transaction: Transaction, uids: Iterable[str]) -> dict[str, _Entity]:
    rows = await transaction.run(_TOUCHED, uids=sorted(uids))
    return {row["uid"]: _Entity(row["mentions"], row["form"]) for row in rows}


async def _run(transaction: Transaction, statement: str, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        await transaction.run(statement, rows=rows)


def _passage(uid: str, graph: str, one: Passage) -> dict[str, Any]:
    return {
        "uid": uid,
        "graph": graph,
        "id": one.id,
        "document": one.document,
        "title": one.title,
        "index": one.index,
    }


def _mention(name: Name, passage: Passage) -> dict[str, Any]:
    return {
        "name": name.text,
        "form": form(name.text),
        "weight": float(name.weight),
        "document": passage.document,
        "chunk": passage.index,
    }


def _by_entity(pair: tuple[str, str]) -> tuple[str, str]:
    return pair[1], pair[0]
