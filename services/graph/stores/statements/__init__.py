"""The Cypher of this service, the same on every store."""
