"""The Cypher that Retrieve and followers read by; the same on every store."""

from collections.abc import Sequence
from typing import Final

from services.graph.model import Mention
from services.graph.stores.bolt import Transaction, records

_MENTION: Final = (
    "p.graph AS graph, p.id AS passage, e.key AS key, m.name AS name, m.weight AS weight, e.mentions AS mention_count"
)

SIZES: Final = "MATCH (f:Follow) WHERE f.uid IN $uids RETURN f.graph AS graph, f.passages AS passages"
MENTIONS: Final = f"MATCH (p:Passage)-[m:MENTIONS]->(e:Entity) WHERE p.uid IN $uids RETURN {_MENTION}"
# From the entity, which has an index: written from the passage, ArcadeDB walks all passages for each name.
MENTIONING: Final = (
    "UNWIND $uids AS uid CALL { WITH uid MATCH (e:Entity {uid: uid})<-[m:MENTIONS]-(p:Passage) "
    f"RETURN {_MENTION} ORDER BY weight DESC, passage LIMIT $limit }} "
    "RETURN graph, passage, key, name, weight, mention_count"
)
FOLLOWED: Final = "MATCH (f:Follow) RETURN f.graph AS graph ORDER BY graph"


async def sizes(transaction: Transaction, uids: Sequence[str]) -> dict[str, int]:
    return {row["graph"]: row["passages"] for row in await transaction.run(SIZES, uids=uids)}


async def mentions(transaction: Transaction, uids: Sequence[str]) -> list[Mention]:
    return records(await transaction.run(MENTIONS, uids=uids), Mention)


async def mentioning(transaction: Transaction, uids: Sequence[str], limit: int) -> list[Mention]:
    return records(await transaction.run(MENTIONING, uids=uids, limit=limit), Mention)


async def followed(transaction: Transaction) -> list[str]:
    return [row["graph"] for row in await transaction.run(FOLLOWED)]
