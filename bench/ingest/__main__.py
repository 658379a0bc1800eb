"""`python -m bench.ingest`: the same as `python -m bench ingest`."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["ingest", *sys.argv[1:]]))
