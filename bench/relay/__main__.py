"""`python -m bench.relay`: the same as `python -m bench relay`."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["relay", *sys.argv[1:]]))
