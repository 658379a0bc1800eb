"""`python -m bench.filtered`: the same as `python -m bench filtered`."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["filtered", *sys.argv[1:]]))
