"""What runs `make run`: starts the suite, shows it, stops it."""
