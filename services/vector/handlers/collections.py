"""pergola.vector.v1.CollectionService"""

from typing import Literal, cast

from pergola.vector.v1 import collection_pb2 as pb
from pergola.vector.v1 import collection_pb2_grpc
from services.runtime import paging
from services.runtime.call import current
from services.runtime.errors import InvalidArgument, Violation
from services.vector.collections import K1, B, Collections, Spec
from services.vector.handlers import messages
from services.vector.handlers.messages import Context
from services.vector.model import ChunkMode, Counts, Distance, Neighbors, Storage

_LIST = "ListCollections"


class CollectionHandlers(collection_pb2_grpc.CollectionServiceServicer):
    def __init__(self, collections: Collections) -> None:
        self._collections = collections

    async def CreateCollection(
        self, request: pb.CreateCollectionRequest, _context: Context
    ) -> pb.CreateCollectionResponse:
        asked = request.collection
        spec = Spec(
            name=asked.name,
            dimension=asked.dimension if asked.HasField("dimension") else None,
            distance=cast(Distance, asked.distance or "cosine"),
            storage=cast(Storage, asked.storage) if asked.storage else None,
            embedding_model=asked.embedding_model,
            graph=asked.graph,
            chunk_mode=cast(ChunkMode, asked.chunking.mode) if asked.chunking.mode else None,
            chunk_tokens=asked.chunking.tokens if asked.chunking.HasField("tokens") else None,
            chunk_overlap=_overlap(asked.chunking),
            neighbors=cast(Neighbors, asked.neighbors) if asked.neighbors else None,
            language=asked.lexical.language,
            k1=asked.lexical.k1 if asked.lexical.HasField("k1") else K1,
            b=asked.lexical.b if asked.lexical.HasField("b") else B,
        )
        made = await self._collections.create(current().tenant, spec, messages.request_of(request))
        return pb.CreateCollectionResponse(collection=messages.collection(made, Counts()))

    async def GetCollection(self, request: pb.GetCollectionRequest, _context: Context) -> pb.GetCollectionResponse:
        found, counts = await self._collections.get(current().tenant, request.collection)
        return pb.GetCollectionResponse(collection=messages.collection(found, counts))

    async def ListCollections(
        self, request: pb.ListCollectionsRequest, _context: Context
    ) -> pb.ListCollectionsResponse:
        tenant = current().tenant
        size = request.page_size if request.HasField("page_size") else paging.DEFAULT_SIZE
        after = paging.decode(request.page_token, tenant, _LIST) if request.page_token else ""
        found, last = await self._collections.page(tenant, after, size)
        return pb.ListCollectionsResponse(
            collections=[messages.collection(one, counts) for one, counts in found],
            next_page_token=paging.encode(last, tenant, _LIST) if last else "",
        )

    async def UpdateCollection(
        self, request: pb.UpdateCollectionRequest, _context: Context
    ) -> pb.UpdateCollectionResponse:
        mask, given = set(request.update_mask.paths), request.collection.lexical
        if "lexical" in mask:
            mask |= {f"lexical.{one.name}" for one, _ in given.ListFields()}
        # A value that is named and not given is the default.
        k1, b = (given.k1 if given.HasField("k1") else K1), (given.b if given.HasField("b") else B)
        changed, counts = await self._collections.update(
            current().tenant,
            request.collection.name,
            language=given.language if "lexical.language" in mask else None,
            k1=k1 if "lexical.k1" in mask else None,
            b=b if "lexical.b" in mask else None,
            neighbors=cast("Neighbors | Literal['']", request.collection.neighbors) if "neighbors" in mask else None,
        )
        return pb.UpdateCollectionResponse(collection=messages.collection(changed, counts))

    async def DeleteCollection(
        self, request: pb.DeleteCollectionRequest, _context: Context
    ) -> pb.DeleteCollectionResponse:
        await self._collections.delete(current().tenant, request.collection)
        return pb.DeleteCollectionResponse()


def _overlap(chunking: pb.Chunking) -> int | None:
    """Raises InvalidArgument when it is more than half of a chunk."""
    if not chunking.HasField("overlap_tokens"):
        return None
    if chunking.HasField("tokens") and 2 * chunking.overlap_tokens > chunking.tokens:
        field, text = "collection.chunking.overlap_tokens", "must be at most half of `tokens`"
        raise InvalidArgument(f"{field}: {text}", violations=[Violation(field, text)])
    return int(chunking.overlap_tokens)
