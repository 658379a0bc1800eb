"""Benchmarks: each against a baseline of the same run, by ratios. `python -m bench NAME`."""
