"""The half of GraphService that reads."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Final

from google.api import httpbody_pb2

from pergola.graph.v1 import graph_pb2, reading_pb2
from services.graph.handlers import messages, ways
from services.graph.handlers.messages import Context
from services.graph.reading.export import export
from services.graph.reading.neighbors import list_neighbors
from services.graph.reading.paths import find_paths
from services.graph.reading.search import Match, Search, Wanted
from services.graph.reading.traversal import Bounds, traverse
from services.graph.store import GraphStore
from services.runtime import paging
from services.runtime.call import current
from services.runtime.policy import Policy

_DEFAULT_LIMIT: Final = 10
_ENTITY_MENTIONS: Final = 1000
_RELATION_MENTIONS: Final = 100
_DEFAULT_DEPTH: Final = 2
_DEFAULT_VISITS: Final = 1000
_DEFAULT_FAN_OUT: Final = 100
_DEFAULT_STEPS: Final = 6


class ReadingHandlers:
    """A half of `GraphHandlers`."""

    def __init__(self, reader: GraphStore, search: Search) -> None:
        self._reader = reader
        self._search = search

    async def BatchGetEntities(
        self, request: reading_pb2.BatchGetEntitiesRequest, _context: Context
    ) -> reading_pb2.BatchGetEntitiesResponse:
        tenant = current().tenant
        keys = list(dict.fromkeys(request.keys))
        found = await self._reader.resolve(tenant, request.graph, keys)
        # Two keys of one entity, since they were merged, are answered once.
        entities = list({one.key: one for key in keys if (one := found.get(key)) is not None}.values())
        mentions = (
            await self._reader.evidence_of_entities(
                tenant, request.graph, [one.key for one in entities], _ENTITY_MENTIONS
            )
            if request.with_mentions
            else {}
        )
        return reading_pb2.BatchGetEntitiesResponse(
            entities=[messages.entity(one, mentions.get(one.key, ())) for one in entities],
            missing=[key for key in keys if key not in found],
        )

    async def ListNeighbors(
        self, request: reading_pb2.ListNeighborsRequest, _context: Context
    ) -> reading_pb2.ListNeighborsResponse:
        tenant = current().tenant
        scope = (tenant, "ListNeighbors", request.graph, request.key, ways.fingerprint(request.along))
        size = request.page_size if request.HasField("page_size") else paging.DEFAULT_SIZE
        after = ways.step_after(paging.decode(request.page_token, *scope)) if request.page_token else None
        page = await list_neighbors(
            self._reader,
            tenant,
            request.graph,
            request.key,
            ways.along(request.along),
            after,
            size,
            mentions=_RELATION_MENTIONS if request.with_mentions else 0,
        )
        return reading_pb2.ListNeighborsResponse(
            neighbors=[
                reading_pb2.Neighbor(
                    relation=messages.relation(one.relation, one.mentions), entity=messages.entity(one.entity)
                )
                for one in page.neighbors
            ],
            next_page_token=paging.encode(ways.last_step(page.last), *scope) if page.last else "",
        )

    async def Traverse(
        self, request: reading_pb2.TraverseRequest, _context: Context
    ) -> AsyncIterator[reading_pb2.TraverseResponse]:
        bounds = Bounds(
            max_depth=request.max_depth if request.HasField("max_depth") else _DEFAULT_DEPTH,
            limit=request.limit if request.HasField("limit") else _DEFAULT_VISITS,
            fan_out=request.fan_out if request.HasField("fan_out") else _DEFAULT_FAN_OUT,
        )
        along = ways.along(request.along)
        events = traverse(self._reader, current().tenant, request.graph, request.keys, along, bounds)
        async with aclosing(events):
            async for event in events:
                yield ways.traverse_response(event)

    async def FindShortestPaths(
        self, request: reading_pb2.FindShortestPathsRequest, _context: Context
    ) -> reading_pb2.FindShortestPathsResponse:
        found = await find_paths(
            self._reader,
            current().tenant,
            request.graph,
            request.source,
            request.target,
            ways.along(request.along),
            max_depth=request.max_depth if request.HasField("max_depth") else _DEFAULT_STEPS,
            limit=request.limit if request.HasField("limit") else _DEFAULT_LIMIT,
        )
        return reading_pb2.FindShortestPathsResponse(
            paths=[
                reading_pb2.EntityPath(
                    entities=map(messages.entity, one.entities), relations=map(messages.relation, one.relations)
                )
                for one in found.paths
            ],
            truncated=found.truncated,
        )

    async def SearchEntities(
        self, request: reading_pb2.SearchEntitiesRequest, _context: Context
    ) -> reading_pb2.SearchEntitiesResponse:
        wanted = Wanted(
            graph=request.graph,
            query=request.query,
            match=Match(request.match or Match.PREFIX),
            types=list(request.types),
            limit=request.limit if request.HasField("limit") else _DEFAULT_LIMIT,
        )
        found = await self._search.find(current().tenant, wanted)
        return reading_pb2.SearchEntitiesResponse(
            entities=[messages.entity(one.entity) for one in found], scores=[one.score for one in found]
        )

    async def ExportGraph(
        self, request: reading_pb2.ExportGraphRequest, _context: Context
    ) -> AsyncIterator[graph_pb2.ExportGraphResponse]:
        with_mentions = request.with_mentions if request.HasField("with_mentions") else True
        async with aclosing(
            export(self._reader, current().tenant, request.graph, with_mentions=with_mentions)
        ) as parts:
            async for part in parts:
                yield graph_pb2.ExportGraphResponse(
                    body=httpbody_pb2.HttpBody(content_type="application/jsonl", data=part)
                )

    async def GetStats(self, request: reading_pb2.GetStatsRequest, _context: Context) -> reading_pb2.GetStatsResponse:
        found = await self._reader.stats(current().tenant, request.graph)
        return reading_pb2.GetStatsResponse(
            entity_count=sum(found.entity_types.values()),
            relation_count=sum(found.relation_types.values()),
            passage_count=found.passage_count,
            mention_count=found.mention_count,
            entity_types=found.entity_types,
            relation_types=found.relation_types,
            store=ways.told(await self._reader.capabilities()),
        )


POLICIES: Final[Mapping[str, Policy]] = {"Traverse": Policy(in_band=ways.traverse_error)}
