"""`python -m bench.query_batch`: the same as `python -m bench query-batch`."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["query-batch", *sys.argv[1:]]))
