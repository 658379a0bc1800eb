"""The parts of the embedded stack, one module a kind."""
