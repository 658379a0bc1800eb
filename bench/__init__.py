"""Benchmarks: each against a baseline of the same run, by ratios. `python -m bench NAME`."""

# Sets how gRPC polls in the clients that measure, as docs/client.md advises.
import services  # noqa: F401
