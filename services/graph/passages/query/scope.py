"""What a question may see of an index."""

from collections.abc import Collection

import numpy as np

from services.graph.passages.index import bridging
from services.graph.passages.index.arrays import Bools, Floats, Ints
from services.graph.passages.index.index import PassageIndex


class Scope:
    """Which passages may be found, over whose mentions the way may lead, and how rare phrases and terms are there.

    Names are counted in the passages that links may use, words in all passages of the collections. A filter takes
    passages away from what may be found and walked through; it changes no counts.
    """

    def __init__(
        self,
        index: PassageIndex,
        *,
        collections: Collection[str] | None = None,
        graphs: Collection[str] | None = None,
        only: Collection[str] | None = None,
    ) -> None:
        """`collections`: where passages may be found; None: everywhere. `graphs`: collections whose mentions may be
        used; None: the same. `only`: ids of the passages that may be found; None: all."""
        self.index = index
        self.searched = index.selection(None if collections is None else frozenset(collections))
        if graphs is None:
            self._counted = self.searched
        else:
            within = frozenset(graphs) if collections is None else frozenset(graphs) & frozenset(collections)
            self._counted = index.selection(within)
        self.found: Bools = self.searched.mask
        if only is not None:
            mask = np.zeros(len(self.found), np.bool_)
            mask[[slot for id in only if (slot := index.slot(id)) is not None]] = True
            self.found = self.found & mask
        self.linked: Bools = self.found & self._counted.mask
        """Passages whose mentions may be used."""

    def mentions(self, phrases: Ints) -> Ints:
        """How many passages mention each phrase."""
        return self._counted.passages(phrases)

    def known(self, phrases: Ints) -> Bools:
        """Whether each is a phrase, and mentioned here."""
        return self.index.bridging.known(phrases) & (self.mentions(phrases) > 0)

    def bridges(self, phrases: Ints) -> Bools:
        """Whether each leads from one of its passages to another."""
        several = bridging.several(self.mentions(phrases), self._counted.total)
        return self.index.bridging.leads(phrases) & several

    def rarity(self, phrases: Ints) -> Floats:
        """g of each phrase."""
        return bridging.rarity(self.mentions(phrases), self._counted.total)
