"""Recall and time of passage retrieval in this process alone: no service, no store."""
