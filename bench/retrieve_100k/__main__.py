"""`python -m bench.retrieve_100k`: the same as `python -m bench retrieve-100k`."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["retrieve-100k", *sys.argv[1:]]))
