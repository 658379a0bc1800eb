"""PostgreSQL: everything the vector service keeps. SQL stands here and nowhere else."""
