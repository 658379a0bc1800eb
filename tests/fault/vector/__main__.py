"""`python -m tests.fault.vector --rounds 1000 --seed 7`"""

import sys

from tests.fault.vector.chaos import main

sys.exit(main())
