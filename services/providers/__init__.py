"""Access to models as a library: what answers questions (here) and what embeds texts (`embedding/`)."""
