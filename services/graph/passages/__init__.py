"""Finding passages, and what they lead to, without a model at query time. docs/retrieval.md says how."""
