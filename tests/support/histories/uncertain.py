"""A graph whose history is broken off: of a write that was not answered, the store tells whether it holds."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc

from services.graph.store import GraphStore
from tests.support.graph_dump import clear_graph, dump
from tests.support.histories.graphs import Graph, rebuild
from tests.support.histories.left import Left
from tests.support.histories.operations import Operation
from tests.support.histories.served import CalledGraph
from tests.support.histories.stored import StoredGraph

_UNANSWERED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED)
"""What a call is answered with while something is away; anything else is a fault that is found."""


class Uncertain:
    """One graph of the tenant `default`, which this alone writes, so that it knows what must be there."""

    def __init__(self, called: CalledGraph, operations: Iterator[Operation], store: GraphStore, other: str) -> None:
        """other: a tenant in which the same graph is built from what is left."""
        self.called = called
        self.unanswered: Operation | None = None
        self._graph = Graph(called)
        self._operations = operations
        self._store = store
        self._other = other

    async def go_on(self, most: int, begins: Callable[[Operation], None]) -> list[Operation]:
        """Does so many operations, each told when it begins, until one is not answered; returns those that were."""
        answered: list[Operation] = []
        for _ in range(most):
            operation = self.unanswered or next(self._operations)
            begins(operation)
            try:
                await self._graph.do(operation)
            except grpc.RpcError as error:
                if error.code() not in _UNANSWERED:
                    raise
                self.unanswered = operation
                break
            self.unanswered = None
            answered.append(operation)
        return answered

    async def settle(self) -> str:
        """Compares the graph with one built from what was acknowledged, without the operation that was not answered and
        with the whole of it; says which it is. Raises AssertionError when it is neither."""
        there = await dump(self._store, "default", self.called.name)
        answered = self._graph.left
        without = await self._faults(there, answered)
        if self.unanswered is None:
            assert not without, without
            return "all answered"
        supposed = self._graph.suppose(self.unanswered)
        with_ = await self._faults(there, supposed)
        assert not (without and with_), f"{self.unanswered} holds in part; without it {without}; with it {with_}"
        if without:
            self._graph.left = supposed
            self._learn(there)
        if without or with_:
            self.unanswered = None
        # Otherwise it changes nothing that can be seen now. It is said once more, so that it is the last word.
        return "done" if without else "not done" if with_ else "either"

    async def _faults(self, there: list[object], left: Left) -> str:
        """What is there and should not be, or the other way round."""
        await clear_graph(self._store, self._other, self.called.name)
        new = await StoredGraph.begin(self._store, self._other, self.called.name)
        await rebuild(new, left, merged_first=False)
        # A cursor that counts no passages is as good as none: who is killed early has not begun to follow.
        begun = [self.called.name, 0]
        one = _comparable([row for row in there if row != begun])
        two = _comparable([row for row in await dump(self._store, self._other, self.called.name) if row != begun])
        if one == two:
            return ""
        # As often as each is there: what is there twice is a fault as well.
        more = [f"  {row}" for row in (one - two).elements()]
        fewer = [f"  {row}" for row in (two - one).elements()]
        return "\n".join(["there is", *more, "and there should be", *fewer])

    def _learn(self, there: list[object]) -> None:
        """The ids of merges whose answers were lost."""
        ids = {(row["target"], tuple(row["sources"])): row["id"] for row in _merges(there)}
        for merge in self._graph.left.merges.values():
            self.called.ids[merge.id] = ids[merge.target, tuple(merge.sources)]


def _comparable(rows: list[object]) -> Counter[str]:
    """How often there is each row, without ids and times of merges, which are the service's to choose."""
    names = {row["id"]: f"{row['target']} of {row['sources']}" for row in _merges(rows)}

    def plain(value: Any) -> Any:
        match value:
            case Mapping():
                left_out = ("time",) if "sources" in value else ()
                return {name: plain(value[name]) for name in sorted(value) if name not in left_out}
            case list():
                return [plain(inner) for inner in value]
            case str():
                for id, name in names.items():
                    value = value.replace(id, name)
                return value
            case float() if value.is_integer():
                # The services' JSON does not tell 1.0 from 1.
                return int(value)
            case _:
                return value

    return Counter(repr(plain(row)) for row in rows)


def _merges(rows: list[object]) -> list[Mapping[str, Any]]:
    return [
        cell
        for row in rows
        if isinstance(row, list)
        for cell in row
        if isinstance(cell, Mapping) and "sources" in cell and "target" in cell
    ]
