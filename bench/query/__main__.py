"""`python -m bench.query`: the same as `python -m bench query`."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["query", *sys.argv[1:]]))
