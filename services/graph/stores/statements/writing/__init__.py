"""The Cypher that changes a graph, and how its transactions are put together."""
