"""After any mix of documents, statements, merges, and what takes them back, a graph is what one built from what is left
is: in all it shows, and in what it becomes when the rest goes too."""

import traceback
from collections.abc import Callable, Sequence
from typing import Final

import pytest

from services.graph.store import GraphStore
from tests.support.graph_dump import clear_all, dump
from tests.support.histories import operations as of
from tests.support.histories.graphs import Graph, rebuild
from tests.support.histories.operations import Operation, history
from tests.support.histories.shrinking import shortest
from tests.support.histories.stored import StoredGraph

ROUNDS: Final = 3
SEED: Final = 1
LENGTH: Final = 40


async def test_any_history_leaves_what_is_left_of_it(
    store: GraphStore, tenant: str, rounds: int | None, seed: int | None, tell: Callable[[str], None]
) -> None:
    first = SEED if seed is None else seed
    for number in range(first, first + (rounds or ROUNDS)):
        tell(f"seed {number}")
        whole = history(number, LENGTH, resets=True)
        if await _fault(store, tenant, whole):

            async def fails(some: Sequence[Operation]) -> bool:
                return bool(await _fault(store, tenant, some))

            short = await shortest(whole, fails)
            told = "\n".join(map(repr, short))
            pytest.fail(f"seed {number}: {await _fault(store, tenant, short)}\nafter\n{told}")


async def _fault(store: GraphStore, tenant: str, operations: Sequence[Operation]) -> str:
    """What is wrong after a history; empty: nothing."""
    other = f"{tenant}-new"
    for one in (tenant, other):
        await clear_all(store, one)
    graph = Graph(await StoredGraph.begin(store, tenant))
    new = await StoredGraph.begin(store, other)
    try:
        for operation in (*operations, of.Return()):
            await graph.do(operation)
        await rebuild(new, graph.left, merged_first=len(operations) % 2 == 0)
        await _compare(store, tenant, other)
        # What can't be seen yet may be seen when more is gone.
        going = dict.fromkeys(graph.left.texts)
        await new.change(going)
        await graph.do(of.Put(going))
        await _compare(store, tenant, other)
        for id in reversed(list(graph.left.merges)):
            await new.undo(id)
            await graph.part(id)
        await _compare(store, tenant, other)
        await graph.do(of.Unsay(sorted({one for _, one in graph.left.said if isinstance(one, str)})))
        assert await dump(store, tenant) == [["docs", 0]]
    except AssertionError as error:
        return str(error)
    except Exception:
        return traceback.format_exc()
    return ""


async def _compare(store: GraphStore, tenant: str, other: str) -> None:
    one, two = await dump(store, tenant), await dump(store, other)
    more = [f"  {row}" for row in one if row not in two]
    fewer = [f"  {row}" for row in two if row not in one]
    assert one == two, "\n".join(["there is", *more, "and there should be", *fewer])
