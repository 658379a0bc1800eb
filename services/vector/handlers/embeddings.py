"""pergola.vector.v1.EmbeddingService"""

from pergola.vector.v1 import embedding_pb2 as pb
from pergola.vector.v1 import embedding_pb2_grpc, point_pb2
from services.vector.embedding import Embedder
from services.vector.handlers import messages
from services.vector.handlers.messages import Context

_FEW = 4


class EmbeddingHandlers(embedding_pb2_grpc.EmbeddingServiceServicer):
    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def Embed(self, request: pb.EmbedRequest, _context: Context) -> pb.EmbedResponse:
        model = self._embedder.model(request.model)
        # A few texts are a question somebody waits for.
        made = await self._embedder.embed(model, list(request.texts), urgent=len(request.texts) <= _FEW)
        if request.format == "values":
            vectors = [point_pb2.Vector(values=vector.tolist()) for vector in made.vectors]
        else:
            vectors = [point_pb2.Vector(packed=messages.pack(vector)) for vector in made.vectors]
        return pb.EmbedResponse(
            embeddings=vectors, model=model.name, dimension=model.dimension, cached_count=made.cached
        )
