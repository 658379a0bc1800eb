"""What is known of entities and relations, worked out from what was said: pure functions."""
