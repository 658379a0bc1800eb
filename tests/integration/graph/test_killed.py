"""What callers say while the graph service and its store are killed: what was acknowledged holds, and what was answered
with an error holds wholly or not at all."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio

from local.system import ports
from pergola.graph.v1 import graph_pb2_grpc
from services.graph.store import GraphStore
from tests.stacks import Stores
from tests.support.feed import ScriptedFeed
from tests.support.graph import LOCAL
from tests.support.graph_dump import clear_all
from tests.support.graph_process import graph_process
from tests.support.histories.operations import Operation, Put, history
from tests.support.histories.served import FedGraph
from tests.support.histories.uncertain import Uncertain

ROUNDS: Final = {"arcadedb": 3, "neo4j": 2}
"""Neo4j takes ten seconds to come back, and as long again until its plans are made."""
SEED: Final = 5
WRITERS: Final = 2
MOST: Final = 8
"""Operations of a writer in one round."""
DEATHS: Final = ("service", "store", "both")
"""Who dies, round by round and over again."""


@pytest_asyncio.fixture
async def feed(store: GraphStore) -> AsyncIterator[ScriptedFeed]:
    await clear_all(store, "default")
    async with ScriptedFeed("default").serving() as running:
        yield running


@pytest.mark.timeout(300)
async def test_what_is_said_holds_wholly_or_not_at_all(
    stores: Stores,
    store: GraphStore,
    feed: ScriptedFeed,
    tenant: str,
    graph_store_kind: str,
    rounds: int | None,
    seed: int | None,
    tell: Callable[[str], None],
) -> None:
    """Round by round: writers change documents, say, take back, merge and undo, each in a graph of its own; the service
    or the store is killed meanwhile; then each graph is what one built from what holds is."""
    dice = random.Random(SEED if seed is None else seed)
    port = ports.choose(set())
    writers = []
    for number in range(WRITERS):
        name = f"killed-{number}"
        await feed.create(name, "one")
        operations = _endless(dice.getrandbits(32))
        writers.append(Uncertain(FedGraph(None, feed, name), operations, store, tenant))

    def service() -> AbstractAsyncContextManager[None]:
        return graph_process(stores, feed.address, listen=f"127.0.0.1:{port}", follow_lease_seconds=1)

    done: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(service())
        for turn in range(rounds or ROUNDS[graph_store_kind]):
            dies = DEATHS[turn % len(DEATHS)]
            # Not the one of the last round, which would wait before it connects again.
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=LOCAL) as channel:
                calls = graph_pb2_grpc.GraphServiceStub(channel)
                moment = _Moment(dice.randint(WRITERS * MOST // 4, WRITERS * MOST // 2))
                for writer in writers:
                    writer.called.calls = calls
                writing = asyncio.gather(*(writer.go_on(MOST, moment.begins) for writer in writers))
                awaited: list[asyncio.Future[Any]] = [writing, moment.come]
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(dice.uniform(0, 0.03))
                if dies != "store":
                    await stack.aclose()
                if dies != "service":
                    await asyncio.to_thread(stores.kill, "graph-store")
                    await asyncio.to_thread(stores.restart, "graph-store")
                if dies != "store":
                    await stack.enter_async_context(service())
                answered = await writing
            done.update(type(one).__name__ for some in answered for one in some)
            done.update(await asyncio.gather(*(writer.settle() for writer in writers)))
            tell(f"round {turn + 1}: {dies} died; {', '.join(f'{count} {what}' for what, count in done.items())}")
    assert done["Tell"] + done["Relate"] + done["Join"] > 0, "no call was answered"
    assert done["done"] + done["not done"] + done["either"] > 0, "every call was answered"


class _Moment:
    """Comes when so many statements or merges have begun: while one is under way, and not by the clock alone."""

    def __init__(self, after: int) -> None:
        self._left = after
        self.come: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begins(self, operation: Operation) -> None:
        self._left -= not isinstance(operation, Put)
        if self._left <= 0 and not self.come.done():
            self.come.set_result(None)


def _endless(seed: int) -> Iterator[Operation]:
    while True:
        yield from history(seed, 100, resets=False)
        seed += 1
