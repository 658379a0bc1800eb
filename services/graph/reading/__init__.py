"""Reading the graph: names, neighbours, ways, and all of it."""
