"""pergola.graph.v1.GraphService."""

from pergola.graph.v1 import graph_pb2_grpc
from services.graph.handlers.reading import ReadingHandlers
from services.graph.handlers.writing import WritingHandlers
from services.graph.reading.search import Search
from services.graph.store import GraphStore


class GraphHandlers(ReadingHandlers, WritingHandlers, graph_pb2_grpc.GraphServiceServicer):
    """Both halves over one store."""

    def __init__(self, store: GraphStore, search: Search) -> None:
        ReadingHandlers.__init__(self, store, search)
        WritingHandlers.__init__(self, store)
