"""Names in a passage, found without a model."""
