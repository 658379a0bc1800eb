"""Passages, with what they say kept on them: what they mention is worked out from it, on both sides of a change."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from services.graph.knowledge import said as of_said
from services.graph.knowledge.said import Said
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place

_SAID: Final = (
    "p.uid AS uid, p.id AS id, p.document AS document, p.title AS title, p.index AS index, p.digest AS digest, "
    "p.names AS names, p.sentences AS sentences"
)
BY_UID: Final = f"MATCH (p:Passage) WHERE p.uid IN $uids RETURN {_SAID}"
AT: Final = "MATCH (p:Passage) WHERE p.at IN $ats RETURN p.at AS at, p.uid AS uid ORDER BY p.uid"
SOME: Final = "MATCH (p:Passage) WHERE p.uid STARTS WITH $prefix RETURN p.uid AS uid LIMIT $limit"
MENTIONING: Final = (
    "MATCH (e:Entity)<-[:MENTIONS]-(p:Passage) WHERE e.uid IN $uids RETURN DISTINCT p.uid AS uid ORDER BY uid"
)
CREATE: Final = (
    "UNWIND $rows AS r CREATE (:Passage {uid: r.uid, graph: r.graph, id: r.id, document: r.document, title: r.title, "
    "index: r.index, at: r.at, digest: r.digest, names: r.names, sentences: r.sentences})"
)
PUT: Final = "UNWIND $rows AS r MERGE (p:Passage {uid: r.uid}) SET p = r"
REMOVE: Final = "UNWIND $uids AS uid MATCH (p:Passage {uid: uid}) DETACH DELETE p"


async def standing(transaction: Transaction, uids: Iterable[str]) -> dict[str, Said]:
    """Those of the passages that there are, without what callers told of them."""
    asked = sorted(uids)
    rows = await transaction.run(BY_UID, uids=asked) if asked else []
    return {
        row["uid"]: Said(
            row["id"],
            row["document"],
            row["title"],
            row["index"],
            # An older layout has none of these, and is about to be removed.
            row["digest"] or "",
            of_said.names_from(row["names"] or "[]"),
            of_said.sentences_from(row["sentences"] or "[]"),
        )
        for row in rows
    }


async def at(
    transaction: Transaction, place: Place, graph: str, where: Iterable[tuple[str, int]]
) -> Mapping[tuple[str, int], str]:
    """(document, chunk) → id in the store of the passage there; those that there are not are left out."""
    ats = {at_of(place, graph, *one): one for one in where}
    rows = await transaction.run(AT, ats=sorted(ats)) if ats else []
    # Points that callers wrote themselves may share a place: the first by id.
    return {ats[row["at"]]: row["uid"] for row in reversed(rows)}


async def some(transaction: Transaction, place: Place, graph: str, limit: int) -> list[str]:
    """Ids in the store of up to `limit` passages of a graph."""
    return [row["uid"] for row in await transaction.run(SOME, prefix=place.inside(graph), limit=limit)]


async def mentioning(transaction: Transaction, place: Place, graph: str, keys: Iterable[str]) -> list[str]:
    """Ids in the store of the passages that mention one of some entities."""
    uids = sorted(place.inside(graph, key) for key in keys)
    return [row["uid"] for row in await transaction.run(MENTIONING, uids=uids)]


async def put(
    transaction: Transaction, place: Place, graph: str, passages: Mapping[str, Said], new: Iterable[str]
) -> None:
    """Keeps passages by their ids in the store; those of `new` are not there yet."""
    for statement, uids in ((CREATE, passages.keys() & set(new)), (PUT, passages.keys() - set(new))):
        if uids:
            await transaction.run(statement, rows=[_row(place, graph, uid, passages[uid]) for uid in sorted(uids)])


async def remove(transaction: Transaction, uids: Sequence[str]) -> None:
    """Removes passages with their mentions."""
    if uids:
        await transaction.run(REMOVE, uids=sorted(uids))


def at_of(place: Place, graph: str, document: str, chunk: int) -> str:
    return place.inside(graph, f"{chunk}\x1f{document}")


def _row(place: Place, graph: str, uid: str, one: Said) -> dict[str, Any]:
    names, sentences = of_said.dumps(one)
    return {
        "uid": uid,
        "graph": graph,
        "id": one.id,
        "document": one.document,
        "title": one.title,
        "index": one.index,
        "at": at_of(place, graph, one.document, one.index),
        "digest": one.digest,
        "names": names,
        "sentences": sentences,
    }
