"""`python -m bench.query_chroma`: the same as `python -m bench query-chroma`."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["query-chroma", *sys.argv[1:]]))
