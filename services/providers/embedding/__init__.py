"""Embedding models: the built-in MiniLM and any OpenAI-compatible endpoint, behind one interface."""
