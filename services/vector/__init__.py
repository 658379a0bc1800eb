"""The vector service: collections, documents, points, embeddings, ingestion jobs, and the change feed."""
