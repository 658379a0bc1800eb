"""Clients of the other services, one module a peer, in the words of the domain."""
