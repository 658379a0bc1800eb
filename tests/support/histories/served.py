"""A graph by the services' own doors, in the words of the store: documents go by ingestion and the feed."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc
from google.protobuf.json_format import ParseDict

from pergola.graph.v1 import reading_pb2, writing_pb2
from pergola.vector.v1 import document_pb2
from services.graph.model import Evidence, Merge, NewEntity, NewRelation, RelationKey
from tests.support.feed import ScriptedFeed, chunk
from tests.support.graph import GraphDoor, VectorDoor
from tests.support.histories.graphs import Named, Undone
from tests.support.histories.left import Told, Unsaid, parted
from tests.support.vector import status


class CalledGraph(ABC):
    """What callers write, by GraphService; where the documents come from is each one's own. An `Answers` of
    graphs.py, whose methods raise RpcError for calls of which nobody knows whether they were done."""

    def __init__(self, calls: Any, name: str) -> None:
        self.calls = calls
        """The stub of GraphService."""
        self.name = name
        self.ids: dict[str, str] = {}
        """Of merges, as the service numbers them, by our own."""

    @abstractmethod
    async def change(self, texts: Mapping[str, str | None]) -> None: ...

    async def reset(self) -> None:
        raise NotImplementedError("only the feed can say so")

    async def tell(self, entities: Sequence[NewEntity]) -> Told:
        request = ParseDict(
            {"graph": self.name, "entities": [_entity(one) for one in entities]}, writing_pb2.UpsertEntitiesRequest()
        )
        answer = await self.calls.UpsertEntities(request, timeout=30)
        return Told([one.index for one in answer.failures], list(answer.keys), answer.created_count)

    async def relate(self, relations: Sequence[NewRelation]) -> Told:
        request = ParseDict(
            {"graph": self.name, "relations": [_relation(one) for one in relations]},
            writing_pb2.UpsertRelationsRequest(),
        )
        answer = await self.calls.UpsertRelations(request, timeout=30)
        return Told([one.index for one in answer.failures], (), answer.created_count)

    async def unsay(self, keys: Sequence[str]) -> Unsaid:
        request = writing_pb2.DeleteEntitiesRequest(graph=self.name, keys=keys)
        answer = await self.calls.DeleteEntities(request, timeout=30)
        gone = [key for key in keys if key not in (*answer.missing, *answer.derived)]
        assert answer.deleted_count == len(gone)
        return Unsaid(gone, list(answer.missing), list(answer.derived))

    async def unrelate(self, relations: Sequence[RelationKey]) -> list[int]:
        request = writing_pb2.DeleteRelationsRequest(
            graph=self.name, relations=[writing_pb2.RelationKey(**one._asdict()) for one in relations]
        )
        return [one.index for one in (await self.calls.DeleteRelations(request, timeout=30)).failures]

    async def names(self, keys: Sequence[str]) -> Named:
        request = reading_pb2.BatchGetEntitiesRequest(graph=self.name, keys=keys)
        answer = await self.calls.BatchGetEntities(request, timeout=30)
        return {one.key: one.name for one in answer.entities}

    async def merge(self, merge: Merge) -> str:
        request = writing_pb2.MergeEntitiesRequest(graph=self.name, target=merge.target, sources=merge.sources)
        try:
            answer = await self.calls.MergeEntities(request, timeout=30)
        except grpc.RpcError as error:
            return _refused(error)
        self.ids[merge.id] = answer.merge.id
        return ""

    async def undo(self, id: str) -> Undone:
        request = writing_pb2.UndoMergeRequest(graph=self.name, id=self.ids[id])
        try:
            answer = await self.calls.UndoMerge(request, timeout=30)
        except grpc.RpcError as error:
            return Undone(_refused(error), ())
        return Undone("", [one.key for one in answer.entities])


class ServedGraph(CalledGraph):
    """The graph of a collection whose documents are ingested."""

    def __init__(self, door: GraphDoor, vector: VectorDoor, name: str) -> None:
        super().__init__(door.graph, name)
        self.vector = vector

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

    async def export(self) -> list[str]:
        """Its lines, sorted, without the graph's name."""
        call = self.calls.ExportGraph(reading_pb2.ExportGraphRequest(graph=self.name), timeout=60)
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


class FedGraph(CalledGraph):
    """The graph of a collection whose documents are told by a feed, each of them one passage."""

    def __init__(self, calls: Any, feed: ScriptedFeed, name: str) -> None:
        super().__init__(calls, name)
        self.feed = feed

    async def change(self, texts: Mapping[str, str | None]) -> None:
        points = {
            document: None if text is None else chunk(parted(text)[1], title=parted(text)[0], document=document)
            for document, text in texts.items()
        }
        await self.feed.write(self.name, points)
        # What is told of a document is refused until the graph has it. Whoever is to follow may have died.
        await self.feed.followed(self.name, 180)


_STATES: Final = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS)


def _refused(error: grpc.RpcError) -> str:
    """The reason of an answer that says how the graph stands; everything else is none, and raised again."""
    if error.code() not in _STATES:
        raise error
    return status(error)[1]


def _entity(one: NewEntity) -> dict[str, Any]:
    own = {"key": one.key, "name": one.name, "type": one.type, "aliases": list(one.aliases)}
    return own | {"properties": dict(one.properties), "mentions": _mentions(one.mentions)}


def _relation(one: NewRelation) -> dict[str, Any]:
    own = {"source": one.source, "target": one.target, "type": one.type, "properties": dict(one.properties)}
    weight = {} if one.weight is None else {"weight": one.weight}
    return own | weight | {"mentions": _mentions(one.mentions)}


def _mentions(mentions: Sequence[Evidence]) -> list[dict[str, Any]]:
    return [{"document": one.document, "chunk": one.chunk, "text": one.text} for one in mentions]
