"""What the benchmarks of searching share: made-up points, a running vector service that holds them, callers."""
