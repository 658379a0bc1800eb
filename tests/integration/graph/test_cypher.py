"""RunQuery: what comes back, where it ends, and that it only reads."""

import asyncio
import contextlib
import random
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2

from services.graph.store import GraphStore
from tests import bounds
from tests.stacks import Stores
from tests.support import graph
from tests.support.cache import reason
from tests.support.graph import GraphDoor
from tests.support.steady import steady

ENDLESS = "UNWIND range(1, 3000000) AS a UNWIND range(1, 3000000) AS b WITH a, b WHERE a % 7 = 9 RETURN count(a)"
"""Works for hours without a row."""
STATEMENTS = {
    "without rows": ENDLESS,
    "grouping": "UNWIND range(1, 100000) AS a UNWIND range(1, 100000) AS b RETURN a % 17 AS g, count(*) ORDER BY g",
    "in a sub-query": "UNWIND range(1, 100000) AS i CALL { WITH i UNWIND range(1, 100000) AS j WITH i, j "
    "WHERE (i * j) % 7 = 9 RETURN count(*) AS n } RETURN sum(n)",
}
"""Each works for longer than any test, without a row."""
FLOOD = "UNWIND range(1, 100000) AS a UNWIND range(1, 1000) AS b RETURN a, b"


async def refused(door: GraphDoor, query: str, **fields: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.rows(query, **fields)
    return caught.value


async def running(store: GraphStore, tenant: str = "default") -> int:
    """How many statements the store is working on for a tenant, this one left out: as another connection sees it."""
    async with store.query(tenant, "SHOW TRANSACTIONS", {}, 20) as rows:
        return sum([len(batch) async for batch in rows.batches()]) - 1


async def begun(store: GraphStore) -> None:
    """Returns when the store works on something."""
    async with asyncio.timeout(20):
        while not await running(store):  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.01)


async def leave(call: Any) -> float:
    """Cancels a call, and tells when."""
    left = steady()
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call.read()
    return left


async def nothing_runs(store: GraphStore, by: float | None = None) -> None:
    """Returns when the store works on nothing, which must be so at the steady time `by`; None: sometime soon."""
    by = steady() + bounds.RECOVERY if by is None else by
    while await running(store):
        assert steady() < by, "a statement still runs in the store"
        await asyncio.sleep(0.01)


async def test_rows_come_with_their_types(door: GraphDoor) -> None:
    parameters = struct_pb2.Struct()
    parameters.update({"n": 2, "x": 0.5, "s": "é", "m": {"a": [1, None, True]}})
    (row,) = await door.rows("RETURN $n + 1, $x, $s, $m, null, [1, 'a'], {b: 2}", parameters=parameters)
    assert row[:3] == [3, 0.5, "é"]
    assert dict(row[3]) == {"a": [1, None, True]}
    assert row[4] is None
    assert list(row[5]) == [1, "a"]
    assert dict(row[6]) == {"b": 2}
    (row,) = await door.rows(
        "RETURN 9007199254740993, date('2020-02-29'), duration('P1DT2H'), point({x: 1, y: 2}), 1.0 / 0, {`$type`: 'x'},"
        " datetime('2020-01-01T10:00:00Z'), time('10:00:00Z')"
    )
    typed = [dict(cell) for cell in row]
    assert typed[0] == {"$type": "Integer", "value": "9007199254740993"}
    assert typed[1] == {"$type": "Date", "value": "2020-02-29"}
    assert typed[2] == {"$type": "Duration", "value": "P1DT2H"}
    assert typed[3]["$type"] == "Point"
    assert list(typed[3]["coordinates"]) == [1, 2]
    assert typed[4] == {"$type": "Float", "value": "Infinity"}
    assert typed[5]["$type"] == "Map"
    assert dict(typed[5]["value"]) == {"$type": "x"}
    assert typed[6]["$type"] == "DateTime"
    assert typed[6]["value"].startswith("2020-01-01T10:00:00")
    assert typed[7]["$type"] == "Time"


async def test_columns_come_first_and_the_end_says_how_many(door: GraphDoor) -> None:
    messages = [message async for message in door.query("UNWIND range(1, 1200) AS a RETURN a, -a AS b", max_rows=1200)]
    assert list(messages[0].columns.names) == ["a", "b"]
    assert (messages[-1].done.row_count, messages[-1].done.truncated) == (1200, False)
    assert sum(len(message.rows.items) for message in messages) == 1200
    assert list(messages[1].rows.items[0]) == [1, -1]


async def test_more_rows_than_wanted_end_the_query(door: GraphDoor, store: GraphStore) -> None:
    await nothing_runs(store)
    messages = [message async for message in door.query(FLOOD, max_rows=700)]
    assert (messages[-1].done.row_count, messages[-1].done.truncated) == (700, True)
    await nothing_runs(store, steady() + bounds.AFTER_CANCEL)


async def test_more_bytes_than_allowed_are_an_error(stores: Stores) -> None:
    async with graph.graph_service(stores, follow="false", cypher_max_bytes=20_000) as door:
        error = await refused(door, FLOOD, max_rows=100_000)
        assert reason(error) == "TOO_MANY_ROWS"


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
async def test_a_query_ends_at_its_deadline_in_the_store_too(
    door: GraphDoor, store: GraphStore, statement: str
) -> None:
    await nothing_runs(store)
    deadline = steady() + 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in door.query(statement, timeout=1):
            pass
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert steady() < deadline + bounds.AFTER_DEADLINE
    await nothing_runs(store, deadline + bounds.AFTER_CANCEL)


async def test_the_setting_bounds_a_query_whose_caller_has_time(stores: Stores, store: GraphStore) -> None:
    await nothing_runs(store)
    async with graph.graph_service(stores, follow="false", cypher_timeout_seconds=1) as door:
        error = await refused(door, ENDLESS)
        ended = steady()
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "ended" in (error.details() or "")
        await nothing_runs(store, ended + bounds.AFTER_CANCEL)


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
async def test_a_query_whose_caller_leaves_is_ended(door: GraphDoor, store: GraphStore, statement: str) -> None:
    await nothing_runs(store)
    call = door.query(statement)
    await begun(store)
    await nothing_runs(store, await leave(call) + bounds.AFTER_CANCEL)


async def test_a_query_whose_caller_leaves_between_rows_is_ended(door: GraphDoor, store: GraphStore) -> None:
    await nothing_runs(store)
    call = door.query(FLOOD, max_rows=100_000)
    await call.read()
    await nothing_runs(store, await leave(call) + bounds.AFTER_CANCEL)


async def test_whenever_a_caller_leaves_nothing_runs_on(door: GraphDoor, store: GraphStore) -> None:
    """Also before the store has read the statement: it may begin with it when nobody waits for it any more."""
    await nothing_runs(store)
    dice = random.Random(3)
    for _ in range(8):
        calls = [door.query(ENDLESS) for _ in range(2)]
        await asyncio.sleep(dice.uniform(0, 0.03))
        left = [await leave(call) for call in calls]
        await nothing_runs(store, left[-1] + bounds.AFTER_CANCEL)
    await asyncio.sleep(max(0.0, left[-1] + bounds.AFTER_CANCEL - steady()))
    assert await running(store) == 0


async def test_one_tenant_runs_only_so_many_at_once(stores: Stores) -> None:
    async with graph.graph_service(stores, follow="false", cypher_max_running=1) as door:
        call = door.query(FLOOD, max_rows=100_000)
        await call.read()
        error = await refused(door, "RETURN 1")
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call.read()
        async with asyncio.timeout(bounds.RECOVERY):
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    assert await door.rows("RETURN 1") == [[1]]
                    return


async def test_what_cannot_be_ended_holds_its_slot(stores: Stores, store: GraphStore, graph_store_kind: str) -> None:
    """The server's own sleep hears nothing; it must not be a way to take its threads one by one."""
    if graph_store_kind == "neo4j":
        pytest.skip("this server can end whatever it runs")
    async with graph.graph_service(stores, follow="false", cypher_max_running=1) as door:
        await nothing_runs(store)
        call = door.query("CALL apoc.util.sleep(3000) RETURN 1")
        await begun(store)
        await leave(call)
        error = await refused(door, "RETURN 1")
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_what_is_refused_holds_no_slot(stores: Stores) -> None:
    async with graph.graph_service(stores, follow="false", cypher_max_running=1) as door:
        for query in ("CREATE (n:Passage)", "MATCH (n RETURN n", "LOAD CSV FROM 'file:///etc/passwd' AS l RETURN l"):
            await refused(door, query)
        assert await door.rows("RETURN 1") == [[1]]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("MATCH (n RETURN n", "does not parse"),
        ("RETURN missing", "does not define"),
        ("RETURN $p", "$parameter"),
        ("CALL no.such()", "unknown"),
        ("RETURN 1; RETURN 2", "one statement"),
        ("   ", "does not parse"),
        ("RETURN 1 / 0", "zero"),
    ],
)
async def test_what_is_wrong_with_a_query_is_said(door: GraphDoor, query: str, says: str) -> None:
    error = await refused(door, query)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason(error) == "INVALID_CYPHER"
    told = error.details() or ""
    assert says in told
    assert "arcadedb" not in told.lower()
    assert "/*" not in told


async def test_numbers_that_json_rounds_are_refused_by_name(door: GraphDoor) -> None:
    parameters = struct_pb2.Struct()
    parameters.update({"list": [1, 2.0**53]})
    error = await refused(door, "RETURN $list", parameters=parameters)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "parameters.list[1]" in str(error.trailing_metadata())
