"""`python -m bench.follow`: the same as `python -m bench follow`."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["follow", *sys.argv[1:]]))
