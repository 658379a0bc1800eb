"""The chat service: conversations, streams, answers grounded in retrieved passages."""
