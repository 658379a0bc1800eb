"""pergola.vector.v1.EmbeddingService"""

from pergola.vector.v1 import embedding_pb2 as pb
from pergola.vector.v1 import embedding_pb2_grpc, point_pb2
from services.runtime.call import current
from services.vector.embedding import Embedder
from services.vector.handlers import messages
from services.vector.handlers.messages import Context
from services.vector.kept import KeptVectors

_FEW = 4


class EmbeddingHandlers(embedding_pb2_grpc.EmbeddingServiceServicer):
    def __init__(self, embedder: Embedder, kept: KeptVectors) -> None:
        self._embedder = embedder
        self._kept = kept

    async def Embed(self, request: pb.EmbedRequest, _context: Context) -> pb.EmbedResponse:
        # A few texts are a question somebody waits for.
        texts, urgent = list(request.texts), len(request.texts) <= _FEW
        if request.collection:
            name, made = await self._kept.embed(current().tenant, request.collection, texts, urgent=urgent)
        else:
            model = self._embedder.model(request.model)
            name, made = model.name, await self._embedder.embed(model, texts, urgent=urgent)
        if request.format == "values":
            vectors = [point_pb2.Vector(values=vector.tolist()) for vector in made.vectors]
        else:
            vectors = [point_pb2.Vector(packed=messages.pack(vector)) for vector in made.vectors]
        return pb.EmbedResponse(
            embeddings=vectors, model=name, dimension=made.vectors.shape[1], cached_count=made.cached
        )
