"""The graph's log, read from some place on."""

from collections.abc import Mapping
from typing import Any

from services.graph.model import Given, GivenPage
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements.writing import given, groups, log


async def since(transaction: Transaction, place: Place, graph: str, seq: int, limit: int, begun: int) -> GivenPage:
    """What came and went behind `seq`, at most `limit` of it; see `GivenLog`."""
    standing = await log.read(transaction, place, graph)
    known = max(seq, begun) if seq else 0
    reset = known > standing.last or 0 < known < standing.floor
    seq = 0 if reset else seq
    rows: list[Mapping[str, Any]] = []
    end, width = seq, limit
    # Numbers are given to other things too, and most are taken back: wider and wider, until something is there.
    while len(rows) < limit and end < standing.last:
        begin, end = end, min(standing.last, end + width)
        rows += await transaction.run(
            given.SINCE, begin=log.stamp(place, graph, begin), end=log.stamp(place, graph, end)
        )
        width *= 2
    if len(rows) > limit:
        rows = rows[:limit]
        end = rows[-1]["seq"]
    changed = reset or seq == 0 or standing.merged > seq
    return GivenPage(
        end,
        reset,
        [Given(row["passage"], row["key"], row["name"] or row["key"], row["gone"]) for row in rows],
        end < standing.last,
        await groups.roots(transaction, place, graph) if changed else None,
        standing.last,
    )
