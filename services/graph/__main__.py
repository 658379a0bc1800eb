"""python -m services.graph"""

import os

# Passages are compared by threads of our own, block by block: those of the numerical library would wait for each other
# in loops that take the processor from the other services. It reads this when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from services.graph.assemble import assemble
from services.graph.settings import GraphSettings
from services.runtime.start import main

if __name__ == "__main__":
    main("graph", GraphSettings, assemble)
