"""python -m services.graph"""

from services.graph.assemble import assemble
from services.graph.settings import GraphSettings
from services.runtime.start import main

main("graph", GraphSettings, assemble)
