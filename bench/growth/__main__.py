"""`python -m bench.growth`: the same as `python -m bench growth`."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["growth", *sys.argv[1:]]))
