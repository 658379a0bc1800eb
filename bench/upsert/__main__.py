"""`python -m bench.upsert`: the same as `python -m bench upsert`."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["upsert", *sys.argv[1:]]))
