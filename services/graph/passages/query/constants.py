"""What the scores are made of. All terms are absolute, so that paths through different phrases compare.

None of these was fitted to the questions that docs/retrieval.md measures: drawn anew between half and double of what
stands here, all at once, recall moves by two points. The shares of bridge and anchor belong to the embedding model.
"""

from typing import Final

LEXICAL: Final = 0.25
"""Of BM25, as a share of the most a passage could have."""
NAMED: Final = 0.15
"""Of each question phrase that names the passage, by how rare it is."""
K1: Final = 1.2
B: Final = 0.75
"""BM25's usual ones."""

BRIDGE_IN: Final = 0.5
ANCHOR_OUT: Final = 0.5
"""How much of the bridge comes into the question's vector, and of the anchor goes out."""
RARE: Final = 0.1
NESTED: Final = 0.06
TARGET_NAMED: Final = 0.1
COVERED: Final = 0.2
WALKED: Final = 0.15
"""Of a path: its phrase is rare; (less) it stands in a longer name, at either end; it names the target; the two
passages cover the question; PageRank."""

ANCHORS: Final = 8
"""Passages that paths begin at."""
CALLED: Final = 4
"""Passages that the question calls by name, which are among those that paths begin at, and compete, wherever they
stand: in "the city where the singers of Brother met", "Brother" is least like the question, and where to begin."""
FAN: Final = 200
"""Passages that one phrase leads to, best first by the plain question."""
PATHS: Final = 150
"""Paths that a set is chosen from."""

SENTENCES: Final = 1000
"""Passages whose sentences are looked at, best first without."""
PATH_SENTENCES: Final = 500
"""Paths whose target's sentences are looked at, best first without."""

ROUNDING: Final = 1e-5
"""Scores that differ by no more are equal: sums depend in their last digits on where the numbers lie in memory."""

DAMPING: Final = 0.7
STEPS: Final = 15
SEEDS: Final = 5
"""Passages that a walk begins at; it begins as often at the question's phrases."""
FAINT: Final = 1e-3
"""Share of the walkers below which a node passes none on."""

THIN: Final = 1e-4
"""Share below which no passage of a phrase would get any: then it is too common to lead anybody anywhere."""

POOL: Final = 20
"""Passages that compete without a bridge, and to be anchor of the set."""
MARGIN: Final = 20
"""Passages ranked beyond those asked for: some stand in the set already."""
SET_ANCHORS: Final = 2
SET: Final = 6
ANCHOR_COVERED: Final = 0.6
ANCHOR_AGAIN: Final = 0.1
NO_BRIDGE: Final = 0.12
"""What a pair without a bridge must be better by."""
