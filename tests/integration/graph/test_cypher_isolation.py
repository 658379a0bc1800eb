"""Where tenants share a database raw Cypher is refused, unless nobody could be harmed by it."""

import grpc
import pytest

from services.graph.model import Cursor
from services.graph.store import GraphStore
from services.graph.stores.arcadedb.store import ArcadeDBStore
from services.graph.stores.opening import open_store
from services.runtime.errors import CypherNeedsIsolation
from tests.integration.graph.test_writing import claimed, passage
from tests.stacks import Stores
from tests.support import graph
from tests.support.cache import reason
from tests.support.graph import GraphDoor
from tests.support.graph_dump import clear_all


async def ask(store: GraphStore, tenant: str) -> list[object]:
    async with store.query(tenant, "RETURN 1", {}, 20) as rows:
        return [list(row) async for batch in rows.batches() for row in batch]


async def fill(store: GraphStore, tenant: str) -> None:
    claim = await claimed(store, tenant)
    await store.begin(claim, Cursor("i", 0), 30)
    await store.apply(claim, Cursor("i", 0), Cursor("i", 1), [passage("a", "It was Ada Lovelace.")], [], 30)


async def test_the_login_of_one_tenant_opens_no_other(store: GraphStore) -> None:
    """Past the service, with the very login it uses."""
    if not isinstance(store, ArcadeDBStore):
        pytest.skip("one database has no logins of tenants")
    for tenant in ("default", "other"):
        await ask(store, tenant)
    driver = await store._cypher._login("pergola-default")
    with pytest.raises(Exception, match="Forbidden"):
        async with driver.session(database="pergola-other") as session:
            await (await session.run("MATCH (n) RETURN n")).consume()


async def test_several_tenants_need_a_database_each(stores: Stores) -> None:
    for tenants in ({"default", "other"}, {"other"}, set[str]()):
        async with graph.graph_store(stores, tenants) as store:
            if (await store.probe()).isolates_cypher:
                assert await ask(store, "default") == [[1]]
            else:
                with pytest.raises(CypherNeedsIsolation):
                    await ask(store, "default")


async def test_what_another_tenant_left_closes_raw_cypher(
    stores: Stores, store: GraphStore, door: GraphDoor, tenant: str
) -> None:
    """The callers may have listed it once; its graph is there as long as nobody removes it."""
    assert await door.rows("RETURN 1") == [[1]]
    for name in ("a", "z"):
        other = f"{name}-{tenant}"
        await fill(store, other)
        if (await store.probe()).isolates_cypher:
            assert await door.rows("MATCH (p:Passage) RETURN p") == []
            continue
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.rows("MATCH (p:Passage) RETURN p")
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert reason(caught.value) == "CYPHER_NEEDS_ISOLATION"
        await clear_all(store, "default")
        assert await door.rows("MATCH (p:Passage) RETURN p") == []


async def test_a_server_that_does_not_guard_its_sessions_is_found_out(stores: Stores, graph_store_kind: str) -> None:
    """The embedded store over Bolt alone: it lets sessions that asked to read write."""
    if graph_store_kind != "arcadedb":
        pytest.skip("this one guards them")
    async with graph.graph_store(stores) as whole:
        await ask(whole, "default")
    settings = graph.graph_settings(stores, store_database="pergola-default")
    alone = {name: getattr(settings, name) for name in settings.__struct_fields__ if name != "store_admin_url"}
    async with open_store(type(settings)(**alone), lambda: frozenset({"default"})) as store:
        found = await store.probe()
        assert (found.read_sessions, found.closed, found.isolates_cypher) == (False, False, False)
        with pytest.raises(CypherNeedsIsolation):
            await ask(store, "default")


async def test_what_the_store_can_do_is_found_out(store: GraphStore, graph_store_kind: str) -> None:
    found = await store.probe()
    assert found.version
    if graph_store_kind == "neo4j":
        assert (found.kinds_as_labels, found.read_sessions, found.closed) == (True, True, True)
        assert not found.isolates_cypher
    else:
        assert found.isolates_cypher
