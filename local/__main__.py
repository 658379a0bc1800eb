"""`python -m local`: the supervisor that `make run` starts."""

import os
import sys

from local.supervisor.supervise import supervise

if __name__ == "__main__":
    sys.exit(supervise(os.environ))
