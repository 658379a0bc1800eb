"""`python -m bench NAME [--json FILE]`: runs a benchmark; without NAME lists them."""

import sys

from bench._harness.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
