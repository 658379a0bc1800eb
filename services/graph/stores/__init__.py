"""One module a store; Cypher and the stores' own APIs live here and nowhere else."""
