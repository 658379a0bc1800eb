"""The graph service: names, the passages that mention them, and retrieval over both."""
