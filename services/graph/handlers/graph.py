"""pergola.graph.v1.GraphService."""

from typing import Any, TypeAlias

import grpc

from pergola.graph.v1 import entity_pb2, graph_pb2_grpc, reading_pb2
from services.graph.search import search_entities
from services.graph.store import Reader
from services.runtime.call import current

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_DEFAULT_LIMIT = 10


class GraphHandlers(graph_pb2_grpc.GraphServiceServicer):
    def __init__(self, store: Reader) -> None:
        self._store = store

    async def SearchEntities(
        self, request: reading_pb2.SearchEntitiesRequest, _context: Context
    ) -> reading_pb2.SearchEntitiesResponse:
        limit = request.limit if request.HasField("limit") else _DEFAULT_LIMIT
        found = await search_entities(self._store, current().tenant, request.graph, request.query, limit)
        return reading_pb2.SearchEntitiesResponse(
            entities=[
                entity_pb2.Entity(key=entity.key, name=entity.name, mention_count=entity.mention_count)
                for entity in found
            ]
        )
