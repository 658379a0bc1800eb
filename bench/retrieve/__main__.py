"""`python -m bench.retrieve`: the same as `python -m bench retrieve`."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["retrieve", *sys.argv[1:]]))
