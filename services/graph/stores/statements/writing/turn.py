"""One writer of a graph at a time, on every store.

Each transaction that changes a graph writes the graph's own node first, and something there that nobody reads. On a
store that locks, the others wait for it; on one that finds conflicts at the commit, the others begin again. So all that
is read afterwards stays true until the commit, counts can be kept, and two writers never wait for each other in a
circle. Nothing else is kept on that node: a value that is read and written by one statement could be an old one.
"""

import secrets
from typing import Final

from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place

TAKE: Final = "MERGE (g:Graph {uid: $uid}) SET g.graph = $graph, g.turn = $turn"


async def take(transaction: Transaction, place: Place, graph: str) -> None:
    await transaction.run(TAKE, uid=place.graph(graph), graph=graph, turn=secrets.token_hex(8))
