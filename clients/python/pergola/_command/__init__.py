"""The `pergola` command: one module a subcommand, `main` chooses, `output` writes."""
