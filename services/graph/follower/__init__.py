"""Keeps the graph equal to what the collections hold."""
