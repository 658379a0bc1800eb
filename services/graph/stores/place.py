"""Where a tenant's graph stands in a store, and the unique ids of what is in it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A database, and what the ids of one tenant begin with where several share one."""

    database: str
    prefix: str = ""
    """Empty, or the tenant and a slash."""

    def graph(self, graph: str) -> str:
        """Id of a graph. Names of graphs have no slash, so no graph's id is the beginning of another's contents."""
        return self.prefix + graph

    def inside(self, graph: str, key: str = "") -> str:
        """Id of a passage or an entity; without a key, what all of the graph begin with."""
        return f"{self.prefix}{graph}/{key}"
