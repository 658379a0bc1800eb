"""The cursor node of a followed collection: who may write, and how far the graph is. Written first in every
transaction, so that two followers can't both commit.

Leases run by the store's own clock. A holder is a token of one claim, not of a process: together with the fence it
tells this claim from one made before the graph was forgotten and followed anew.
"""

from typing import Any, Final

from services.graph.model import Claim, Cursor, FenceLost
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place

LAYOUT: Final = 2
"""What passages, entities and mentions look like in the store. 1, before there were relations, had no number."""

# What is read of the node is read behind a write to it: where transactions see what others have committed meanwhile, a
# condition that held before the lock was had may not hold any more.
CLAIM: Final = """
MERGE (f:Follow {uid: $uid})
ON CREATE SET f.graph = $graph, f.holder = '', f.fence = 0, f.until = 0, f.incarnation = '', f.last = '', f.seq = 0,
              f.passages = 0, f.layout = 0
SET f.locked = true
WITH f WHERE f.until < timestamp() OR f.holder = $holder
SET f.holder = $holder, f.fence = f.fence + 1, f.until = timestamp() + $lease
RETURN f.fence AS fence, f.incarnation AS incarnation, f.seq AS seq, f.last AS last, f.layout AS layout
"""
_OURS: Final = "MATCH (f:Follow {uid: $uid}) SET f.locked = true WITH f WHERE f.holder = $holder AND f.fence = $fence "
RENEW: Final = _OURS + "SET f.until = timestamp() + $lease RETURN f.fence AS fence"
RELEASE: Final = _OURS + "SET f.until = 0 RETURN f.fence AS fence"
MOVE: Final = (
    _OURS + "AND f.incarnation = $before_incarnation AND f.seq = $before_seq "
    "SET f.incarnation = $incarnation, f.last = $incarnation, f.seq = $seq, f.layout = $layout, "
    "f.until = timestamp() + $lease RETURN f.fence AS fence"
)
EMPTY: Final = (
    _OURS + "SET f.incarnation = '', f.seq = 0, f.passages = 0, f.until = timestamp() + $lease RETURN f.fence AS fence"
)
COUNT: Final = "MATCH (f:Follow {uid: $uid}) SET f.passages = f.passages + $more"
FORGET: Final = _OURS + "AND f.incarnation = '' DELETE f RETURN 1 AS gone"


async def claim(
    transaction: Transaction, place: Place, tenant: str, graph: str, holder: str, lease_seconds: float
) -> Claim | None:
    rows = await transaction.run(
        CLAIM, uid=place.graph(graph), graph=graph, holder=holder, lease=_milliseconds(lease_seconds)
    )
    if not rows:
        return None
    return Claim(tenant, graph, holder, rows[0]["fence"], _cursor(rows[0]), rows[0]["last"] or "")


async def renew(transaction: Transaction, place: Place, held: Claim, lease_seconds: float) -> None:
    await _ours(transaction, place, held, RENEW, lease=_milliseconds(lease_seconds))


async def release(transaction: Transaction, place: Place, held: Claim) -> None:
    await _ours(transaction, place, held, RELEASE)


async def move(
    transaction: Transaction, place: Place, held: Claim, before: Cursor | None, after: Cursor, lease_seconds: float
) -> None:
    from_where = before or Cursor("", 0)
    await _ours(
        transaction,
        place,
        held,
        MOVE,
        before_incarnation=from_where.incarnation,
        before_seq=from_where.seq,
        incarnation=after.incarnation,
        seq=after.seq,
        layout=LAYOUT,
        lease=_milliseconds(lease_seconds),
    )


async def empty(transaction: Transaction, place: Place, held: Claim, lease_seconds: float) -> None:
    await _ours(transaction, place, held, EMPTY, lease=_milliseconds(lease_seconds))


async def count(transaction: Transaction, place: Place, held: Claim, more: int) -> None:
    """Adds to how many passages the graph has."""
    await transaction.run(COUNT, uid=place.graph(held.graph), more=more)


async def forget(transaction: Transaction, place: Place, held: Claim) -> None:
    await _ours(transaction, place, held, FORGET)


async def _ours(transaction: Transaction, place: Place, held: Claim, statement: str, **parameters: Any) -> Any:
    rows = await transaction.run(
        statement, uid=place.graph(held.graph), holder=held.holder, fence=held.fence, **parameters
    )
    if not rows:
        raise FenceLost(f"{held.tenant}/{held.graph}")
    return rows


def _cursor(row: Any) -> Cursor | None:
    # What was written in another layout is removed, and followed anew.
    return Cursor(row["incarnation"], row["seq"]) if row["incarnation"] and row["layout"] == LAYOUT else None


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
