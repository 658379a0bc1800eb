"""The half of GraphService that writes."""

from collections.abc import Iterable, Sequence

from pergola.graph.v1 import entity_pb2, writing_pb2
from services.graph.editing import Editing
from services.graph.handlers import messages
from services.graph.handlers.messages import Context
from services.graph.handlers.values import parameters_from
from services.graph.model import Evidence, Merge, NewEntity, NewRelation, Refusal, RelationKey
from services.graph.store import GraphStore
from services.runtime.call import current


class WritingHandlers:
    """A half of `GraphHandlers`."""

    def __init__(self, writer: GraphStore) -> None:
        self._editing = Editing(writer)

    async def UpsertEntities(
        self, request: writing_pb2.UpsertEntitiesRequest, _context: Context
    ) -> writing_pb2.UpsertEntitiesResponse:
        batch = [
            NewEntity(
                one.key,
                one.name,
                one.type,
                tuple(one.aliases),
                parameters_from(one.properties, f"entities[{place}].properties"),
                _mentions(one.mentions),
            )
            for place, one in enumerate(request.entities)
        ]
        stored = await self._editing.upsert_entities(current().tenant, request.graph, batch)
        return writing_pb2.UpsertEntitiesResponse(
            keys=stored.keys, created_count=stored.created, failures=_failures(stored.refused)
        )

    async def UpsertRelations(
        self, request: writing_pb2.UpsertRelationsRequest, _context: Context
    ) -> writing_pb2.UpsertRelationsResponse:
        batch = [
            NewRelation(
                one.source,
                one.target,
                one.type,
                one.weight if one.HasField("weight") else None,
                parameters_from(one.properties, f"relations[{place}].properties"),
                _mentions(one.mentions),
            )
            for place, one in enumerate(request.relations)
        ]
        stored = await self._editing.upsert_relations(current().tenant, request.graph, batch)
        return writing_pb2.UpsertRelationsResponse(
            stored_count=len(batch) - len(stored.refused),
            created_count=stored.created,
            failures=_failures(stored.refused),
        )

    async def DeleteEntities(
        self, request: writing_pb2.DeleteEntitiesRequest, _context: Context
    ) -> writing_pb2.DeleteEntitiesResponse:
        done = await self._editing.delete_entities(current().tenant, request.graph, request.keys)
        return writing_pb2.DeleteEntitiesResponse(
            deleted_count=len(done.deleted), missing=done.missing, derived=done.derived
        )

    async def DeleteRelations(
        self, request: writing_pb2.DeleteRelationsRequest, _context: Context
    ) -> writing_pb2.DeleteRelationsResponse:
        batch = [RelationKey(one.source, one.target, one.type) for one in request.relations]
        refused = await self._editing.delete_relations(current().tenant, request.graph, batch)
        return writing_pb2.DeleteRelationsResponse(deleted_count=len(batch) - len(refused), failures=_failures(refused))

    async def MergeEntities(
        self, request: writing_pb2.MergeEntitiesRequest, _context: Context
    ) -> writing_pb2.MergeEntitiesResponse:
        merge, entity = await self._editing.merge(
            current().tenant, request.graph, request.target, list(request.sources)
        )
        return writing_pb2.MergeEntitiesResponse(merge=_merge(merge), entity=messages.entity(entity))

    async def UndoMerge(
        self, request: writing_pb2.UndoMergeRequest, _context: Context
    ) -> writing_pb2.UndoMergeResponse:
        back = await self._editing.undo_merge(current().tenant, request.graph, request.id)
        return writing_pb2.UndoMergeResponse(entities=map(messages.entity, back))


def _mentions(mentions: Iterable[entity_pb2.Mention]) -> list[Evidence]:
    return [Evidence(one.document, one.chunk, one.text) for one in mentions]


def _failures(refused: Sequence[Refusal]) -> list[entity_pb2.ItemFailure]:
    return [entity_pb2.ItemFailure(index=one.place, reason=one.reason, message=one.message) for one in refused]


def _merge(merge: Merge) -> writing_pb2.Merge:
    message = writing_pb2.Merge(id=merge.id, target=merge.target, sources=merge.sources)
    message.create_time.FromDatetime(merge.time)
    return message
