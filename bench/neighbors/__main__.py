"""`python -m bench.neighbors`: the same as `python -m bench neighbors`."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["neighbors", *sys.argv[1:]]))
