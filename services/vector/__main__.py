"""python -m services.vector"""

from services.runtime.start import main
from services.vector.assemble import assemble
from services.vector.settings import VectorSettings

if __name__ == "__main__":
    main("vector", VectorSettings, assemble)
