"""Retrieval over passages and the names that link them."""
