"""Puts the graph service together."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from pergola.graph.v1 import (
    cypher_pb2,
    cypher_pb2_grpc,
    graph_pb2,
    graph_pb2_grpc,
    retrieval_pb2,
    retrieval_pb2_grpc,
)
from services.graph.cypher import Cypher
from services.graph.follower.collection import Pace
from services.graph.follower.follower import Follower
from services.graph.follower.meters import FollowerMeters
from services.graph.handlers import reading
from services.graph.handlers.cypher import POLICIES, CypherHandlers
from services.graph.handlers.graph import GraphHandlers
from services.graph.handlers.retrieval import RetrievalHandlers
from services.graph.indexes.keeper import Indexes
from services.graph.indexes.meters import IndexMeters
from services.graph.indexes.snapshots.keeping import Snapshots
from services.graph.peers.vector import VectorPeer
from services.graph.reading.search import Search
from services.graph.retrieval.retrieve import Retrieval
from services.graph.settings import GraphSettings
from services.graph.store import GraphStore
from services.graph.stores.opening import open_store
from services.runtime.errors import StoreUnavailable
from services.runtime.start import Runtime, Servicer

_PROBE_SECONDS: Final = 2.0


@asynccontextmanager
async def assemble(settings: GraphSettings, runtime: Runtime[GraphSettings]) -> AsyncIterator[Sequence[Servicer]]:
    """Neither the store nor vector need be up yet: calls say STORE_UNAVAILABLE or PEER_UNAVAILABLE until they are."""
    vector = VectorPeer(runtime.connect("vector"))
    async with open_store(settings, runtime.tenants) as store:
        runtime.spawn(_probe(store), "probe of the graph store")
        search = Search(store, vector, most_meanings=settings.search_meaning_names)
        meters = FollowerMeters()
        runtime.metrics.register(meters)
        snapshots = Snapshots(settings.index_dir)
        indexes = Indexes(vector, vector, store, snapshots, poll_seconds=settings.follow_poll_seconds)
        runtime.metrics.register(IndexMeters(indexes))
        async with _indexing(runtime, indexes), _following(settings, runtime, store, vector, indexes, meters):
            yield [
                Servicer(
                    graph_pb2.DESCRIPTOR.services_by_name["GraphService"].full_name,
                    GraphHandlers(store, search),
                    graph_pb2_grpc.add_GraphServiceServicer_to_server,
                    reading.POLICIES,
                ),
                Servicer(
                    cypher_pb2.DESCRIPTOR.services_by_name["CypherService"].full_name,
                    CypherHandlers(Cypher(store, settings.cypher_limits)),
                    cypher_pb2_grpc.add_CypherServiceServicer_to_server,
                    POLICIES,
                ),
                Servicer(
                    retrieval_pb2.DESCRIPTOR.services_by_name["RetrievalService"].full_name,
                    RetrievalHandlers(Retrieval(indexes, vector, store, link_seconds=settings.retrieve_link_seconds)),
                    retrieval_pb2_grpc.add_RetrievalServiceServicer_to_server,
                ),
            ]


async def _probe(store: GraphStore) -> None:
    """Returns when the store has said what it can do."""
    while True:
        try:
            await store.probe()
            return
        except StoreUnavailable:
            await asyncio.sleep(_PROBE_SECONDS)


@asynccontextmanager
async def _indexing(runtime: Runtime[GraphSettings], indexes: Indexes) -> AsyncIterator[None]:
    """The indexes are built and kept up to date meanwhile."""
    task = runtime.spawn(indexes.run(), "passage indexes")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _following(
    settings: GraphSettings,
    runtime: Runtime[GraphSettings],
    store: GraphStore,
    vector: VectorPeer,
    indexes: Indexes,
    meters: FollowerMeters,
) -> AsyncIterator[None]:
    """The follower runs meanwhile, and has given back its claims when the store is closed."""
    if not settings.follow:
        yield
        return
    pace = Pace(settings.follow_lease_seconds, settings.follow_batch_passages)
    follower = Follower(store, vector, indexes, poll_seconds=settings.follow_poll_seconds, pace=pace, meters=meters)
    task = runtime.spawn(follower.run(), "follower")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
