"""`python -m bench.hybrid`: the same as `python -m bench hybrid`."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["hybrid", *sys.argv[1:]]))
