"""The half of GraphService that writes."""

from services.graph.store import GraphStore


class WritingHandlers:
    """A half of `GraphHandlers`."""

    def __init__(self, writer: GraphStore) -> None:
        self._writer = writer
