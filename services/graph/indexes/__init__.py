"""Passage indexes in memory: built from the vector service's points, kept up to date by its change feed."""
