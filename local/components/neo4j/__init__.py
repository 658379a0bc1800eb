"""The other graph store: Neo4j Community as a program of its own, from the jars that its makers publish for Maven."""
