"""A graph by the services' own doors, in the words of the store: documents go by ingestion and the feed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict

from pergola.graph.v1 import reading_pb2, writing_pb2
from pergola.vector.v1 import document_pb2
from services.graph.model import Evidence, Merge, NewEntity, NewRelation, RelationKey
from tests.support.graph import GraphDoor, VectorDoor
from tests.support.histories.graphs import Named, Undone
from tests.support.histories.left import Told, Unsaid, parted
from tests.support.vector import status


@dataclass
class ServedGraph:
    """The graph of a collection; an `Answers` of graphs.py."""

    door: GraphDoor
    vector: VectorDoor
    name: str
    _ids: dict[str, str] = field(default_factory=dict)
    """Of merges, as the service numbers them, by our own."""

    async def change(self, texts: Mapping[str, str | None]) -> None:
        documents = [
            document_pb2.Document(id=document, title=parted(text)[0], text=parted(text)[1])
            for document, text in texts.items()
            if text is not None
        ]
        if documents:
            await self.vector.ingest_all(self.name, documents)
        for document, text in texts.items():
            if text is None:
                await self._delete(document)
        # What is told of a document is refused until the graph has it.
        await self.vector.caught_up(self.name)

    async def reset(self) -> None:
        raise NotImplementedError("only the feed can say so")

    async def tell(self, entities: Sequence[NewEntity]) -> Told:
        request = ParseDict(
            {"graph": self.name, "entities": [_entity(one) for one in entities]}, writing_pb2.UpsertEntitiesRequest()
        )
        answer = await self.door.graph.UpsertEntities(request, timeout=30)
        return Told([one.index for one in answer.failures], list(answer.keys), answer.created_count)

    async def relate(self, relations: Sequence[NewRelation]) -> Told:
        request = ParseDict(
            {"graph": self.name, "relations": [_relation(one) for one in relations]},
            writing_pb2.UpsertRelationsRequest(),
        )
        answer = await self.door.graph.UpsertRelations(request, timeout=30)
        return Told([one.index for one in answer.failures], (), answer.created_count)

    async def unsay(self, keys: Sequence[str]) -> Unsaid:
        request = writing_pb2.DeleteEntitiesRequest(graph=self.name, keys=keys)
        answer = await self.door.graph.DeleteEntities(request, timeout=30)
        gone = [key for key in keys if key not in (*answer.missing, *answer.derived)]
        assert answer.deleted_count == len(gone)
        return Unsaid(gone, list(answer.missing), list(answer.derived))

    async def unrelate(self, relations: Sequence[RelationKey]) -> list[int]:
        request = writing_pb2.DeleteRelationsRequest(
            graph=self.name, relations=[writing_pb2.RelationKey(**one._asdict()) for one in relations]
        )
        return [one.index for one in (await self.door.graph.DeleteRelations(request, timeout=30)).failures]

    async def names(self, keys: Sequence[str]) -> Named:
        request = reading_pb2.BatchGetEntitiesRequest(graph=self.name, keys=keys)
        answer = await self.door.graph.BatchGetEntities(request, timeout=30)
        return {one.key: one.name for one in answer.entities}

    async def merge(self, merge: Merge) -> str:
        request = writing_pb2.MergeEntitiesRequest(graph=self.name, target=merge.target, sources=merge.sources)
        try:
            answer = await self.door.graph.MergeEntities(request, timeout=30)
        except grpc.RpcError as error:
            return status(error)[1]
        self._ids[merge.id] = answer.merge.id
        return ""

    async def undo(self, id: str) -> Undone:
        request = writing_pb2.UndoMergeRequest(graph=self.name, id=self._ids[id])
        try:
            answer = await self.door.graph.UndoMerge(request, timeout=30)
        except grpc.RpcError as error:
            return Undone(status(error)[1], ())
        return Undone("", [one.key for one in answer.entities])

    async def export(self) -> list[str]:
        """Its lines, sorted, without the graph's name."""
        call = self.door.graph.ExportGraph(reading_pb2.ExportGraphRequest(graph=self.name), timeout=60)
        whole = b"".join([message.body.data async for message in call])
        lines = [json.loads(line) for line in whole.splitlines()]
        lines[-1]["summary"].pop("graph")
        return sorted(json.dumps(line, sort_keys=True, ensure_ascii=False) for line in lines)

    async def _delete(self, document: str) -> None:
        request = document_pb2.DeleteDocumentRequest(collection=self.name, id=document)
        try:
            await self.vector.documents.DeleteDocument(request, timeout=30)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise


def _entity(one: NewEntity) -> dict[str, Any]:
    own = {"key": one.key, "name": one.name, "type": one.type, "aliases": list(one.aliases)}
    return own | {"properties": dict(one.properties), "mentions": _mentions(one.mentions)}


def _relation(one: NewRelation) -> dict[str, Any]:
    own = {"source": one.source, "target": one.target, "type": one.type, "properties": dict(one.properties)}
    weight = {} if one.weight is None else {"weight": one.weight}
    return own | weight | {"mentions": _mentions(one.mentions)}


def _mentions(mentions: Sequence[Evidence]) -> list[dict[str, Any]]:
    return [{"document": one.document, "chunk": one.chunk, "text": one.text} for one in mentions]
