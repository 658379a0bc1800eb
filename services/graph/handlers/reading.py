"""The half of GraphService that reads."""

from typing import Any, TypeAlias

import grpc

from pergola.graph.v1 import entity_pb2, reading_pb2
from services.graph.search import search_entities
from services.graph.store import Reader
from services.runtime.call import current

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_DEFAULT_LIMIT = 10


class ReadingHandlers:
    """A half of `GraphHandlers`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def SearchEntities(
        self, request: reading_pb2.SearchEntitiesRequest, _context: Context
    ) -> reading_pb2.SearchEntitiesResponse:
        limit = request.limit if request.HasField("limit") else _DEFAULT_LIMIT
        found = await search_entities(self._reader, current().tenant, request.graph, request.query, limit)
        return reading_pb2.SearchEntitiesResponse(
            entities=[
                entity_pb2.Entity(key=entity.key, name=entity.name, mention_count=entity.mention_count)
                for entity in found
            ]
        )
