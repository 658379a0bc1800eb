"""One module a format. Each turns bytes into calls of a `Builder`; they run in a worker process alone."""
