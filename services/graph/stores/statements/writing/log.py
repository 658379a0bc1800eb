"""The graph's log: a number for each statement that comes or goes, and how far back those that went are remembered.

Read and written only by the transaction whose turn it is.
"""

from dataclasses import dataclass
from typing import Final

from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place

READ: Final = (
    "MATCH (l:Log) WHERE l.uid = $uid RETURN l.last AS last, l.floor AS floor, l.merged AS merged, l.merges AS merges"
)
WRITE: Final = (
    "MERGE (l:Log {uid: $uid}) SET l.graph = $graph, l.last = $last, l.floor = $floor, l.merged = $merged, "
    "l.merges = $merges"
)


@dataclass(slots=True)
class Log:
    """Where a graph's log stands."""

    last: int = 0
    """The last number given out."""
    floor: int = 0
    """Whoever has read less far begins anew: what went before is not remembered."""
    merged: int = 0
    """When the merges changed last."""
    merges: int = 0
    """How many keys are merged."""

    def next(self) -> int:
        self.last += 1
        return self.last


def stamp(place: Place, graph: str, seq: int) -> str:
    """A number within its graph as text that sorts as the numbers do."""
    return place.inside(graph, f"{seq:019d}")


async def read(transaction: Transaction, place: Place, graph: str) -> Log:
    rows = await transaction.run(READ, uid=place.graph(graph))
    return Log(**rows[0]) if rows else Log()


async def write(transaction: Transaction, place: Place, graph: str, log: Log) -> None:
    await transaction.run(
        WRITE,
        uid=place.graph(graph),
        graph=graph,
        last=log.last,
        floor=log.floor,
        merged=log.merged,
        merges=log.merges,
    )
