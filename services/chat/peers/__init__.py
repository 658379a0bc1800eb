"""The services chat calls: one module a peer, translating between their messages and the domain."""
