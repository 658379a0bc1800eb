"""One module a store; Redis commands are written here and nowhere else."""
