"""The index of one graph's passages."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.graph.passages.index.arrays import Bools, Floats, Growing, Ints
from services.graph.passages.index.bridging import Bridging
from services.graph.passages.index.halves import Halves, gather, products, to_halves
from services.graph.passages.index.kept import Arrays, Kept, packed, taken, unpacked
from services.graph.passages.index.lexicon import Lexicon
from services.graph.passages.index.phrases import Phrases
from services.graph.passages.index.selection import Selection
from services.graph.passages.index.vectors import Blocks, Rows, SharedRows
from services.graph.passages.passage import Passage, Span, Vectors

Embed = Callable[[Sequence[str]], Vectors]
"""Vectors of texts, in order."""

_WANTED: Final = 512
"""Phrases that are embedded at a time."""


class PassageIndex(Kept):
    """Passages by id. A change costs what its passage costs; nothing older is read again.

    Not safe for use from several threads at once: whoever shares it holds a lock while it changes or is asked.
    After changes `settle` (or `wanted` and `learn`) brings phrases up to date; without it answers are right except
    that new phrases lead nowhere yet.
    """

    parts = (
        *("lexicon", "phrases", "_alive", "_collection", "_lengths"),
        *("_passages", "_sentences", "_titles", "_bridges"),
    )

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.lexicon = Lexicon()
        self.phrases = Phrases(self.lexicon)
        self.bridging = Bridging(self.phrases, self.lexicon)
        self._ids: list[str] = []
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._gone: list[int] = []
        self._alive = Growing(np.bool_)
        self._collections: dict[str, int] = {}
        self._collection = Growing(np.uint16)
        self._selections: dict[frozenset[str] | None, Selection] = {}
        self._lengths = Growing(np.uint32)
        self._passages = Growing(np.float16, dimension)
        self._sentences = Blocks(dimension)
        self._titles = SharedRows(dimension)
        self._bridges = Rows(dimension)

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, id: str) -> bool:
        return id in self._slots

    @property
    def nbytes(self) -> int:
        """Bytes of state, the ids estimated."""
        arrays = (
            self._alive,
            self._collection,
            self._lengths,
            self._passages,
            self._sentences,
            self._titles,
            self._bridges,
        )
        parts = (*arrays, self.lexicon, self.phrases, self.bridging)
        return sum(part.nbytes for part in parts) + 220 * len(self._ids)

    # Changing

    def put(self, passage: Passage) -> None:
        """Adds a passage, in the place of the one of the same id if there is one.

        Raises ValueError when a vector has another dimension, or sentences and their vectors differ in number.
        """
        self._check(passage)
        self.delete(passage.id)
        slot = self._slot()
        self._ids[slot] = passage.id
        self._collection.rows[slot] = self._collections.setdefault(passage.collection, len(self._collections))
        self._slots[passage.id] = slot
        self._passages.rows[slot] = to_halves(passage.vector)[0]
        self._sentences.put(slot, passage.sentence_vectors, passage.sentences)
        if passage.title_vector is not None:
            self._titles.share(slot, passage.title, to_halves(passage.title_vector)[0])
        length = self.lexicon.add(slot, passage.terms, passage.casing)
        self._lengths.rows[slot] = length
        self._alive.rows[slot] = True
        self.phrases.add(slot, passage.mentions, passage.grams, self.alive)
        self._changed()

    def delete(self, id: str) -> bool:
        """Removes a passage; False when there is none of that id."""
        slot = self._slots.pop(id, None)
        if slot is None:
            return False
        self._alive.rows[slot] = False
        self._ids[slot] = ""
        self.phrases.remove(slot)
        self.lexicon.remove(slot)
        self._sentences.drop(slot)
        self._titles.drop(slot)
        self._gone.append(slot)
        self._changed()
        return True

    def drop(self, collection: str) -> None:
        """Removes all passages of a collection."""
        held = self.alive & (self._collection.rows == self._collections.get(collection, -1))
        for slot in np.flatnonzero(held).tolist():
            self.delete(self._ids[slot])

    def drop_others(self, collections: Iterable[str]) -> None:
        """Removes the passages of all other collections."""
        kept = frozenset(collections)
        for one in [one for one in self._collections if one not in kept]:
            self.drop(one)

    def wanted(self, limit: int) -> list[str]:
        """Phrases that lead somewhere and have no vector yet, at most `limit`."""
        self.phrases.settle(self.alive)
        numbers = self.phrases.shared()
        numbers = numbers[self._bridges.places(numbers) < 0]
        numbers = numbers[self.bridging.leads(numbers)]
        return [self.phrases.text(number) for number in numbers[:limit].tolist()]

    def learn(self, phrases: Sequence[str], vectors: Vectors) -> None:
        """Takes vectors of phrases, wanted or not; those that nobody mentions are passed over."""
        rows = to_halves(vectors)
        for number, row in zip(self.phrases.find(phrases).tolist(), rows, strict=True):
            if number >= 0 and self._bridges.places(np.array([number]))[0] < 0:
                self._bridges.put(number, row)

    def settle(self, embed: Embed) -> None:
        """Has every phrase embedded that leads somewhere and was not yet."""
        while wanted := self.wanted(_WANTED):
            self.learn(wanted, embed(wanted))

    def compact(self) -> None:
        """Sorts in what came since the last time, which happens by itself as well, and drops what was removed."""
        self.phrases.compact(self.alive)
        self.lexicon.compact(self.alive)
        with_vectors = self._bridges.numbers()
        for phrase in with_vectors[self.phrases.passages(with_vectors) == 0].tolist():
            self._bridges.drop(phrase)
        # Nothing names their slots any more.
        self._free += self._gone
        self._gone = []

    # Keeping

    def own(self) -> Arrays:
        slots = {"free": np.array(self._free, np.int64), "gone": np.array(self._gone, np.int64)}
        return {"ids": packed(self._ids), "collections": packed(self._collections), **slots}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._ids = unpacked(taken(arrays, "ids", np.uint8))
        if len(self._ids) != len(self._alive):
            raise ValueError(f"{len(self._ids)} ids of {len(self._alive)} passages")
        self._slots = {id: slot for slot, id in enumerate(self._ids) if id}
        names = unpacked(taken(arrays, "collections", np.uint8))
        self._collections = {name: number for number, name in enumerate(names)}
        self._free, self._gone = (taken(arrays, name, np.int64).tolist() for name in ("free", "gone"))
        self._changed()

    # Reading

    @property
    def alive(self) -> Bools:
        """Of each slot whether a passage is in it."""
        return self._alive.rows

    def id(self, slot: int) -> str:
        return self._ids[slot]

    def slot(self, id: str) -> int | None:
        return self._slots.get(id)

    def selection(self, collections: frozenset[str] | None) -> Selection:
        """The passages of some collections; None: all. Valid until the next change."""
        found = self._selections.get(collections)
        if found is None:
            if collections is None:
                mask, whole = self.alive, True
            else:
                numbers = [self._collections[one] for one in collections if one in self._collections]
                mask = self.alive & np.isin(self._collection.rows, numbers)
                whole = int(mask.sum()) == len(self)
            lengths = self._lengths.rows
            found = self._selections[collections] = Selection(self.phrases, self.lexicon, mask, lengths, whole=whole)
        return found

    @property
    def vectors(self) -> Halves:
        """Of the passages, by slot."""
        return self._passages.rows

    def title_vectors(self, slots: Ints) -> tuple[Floats, Bools]:
        """Title vectors, and who has one; zero where there is none."""
        return self._titles.vectors(slots)

    def phrase_vectors(self, phrases: Ints) -> tuple[Floats, Bools]:
        """Vectors of phrases, and which have one; zero where there is none."""
        return self._bridges.vectors(phrases)

    def sentences(self, slots: Ints) -> tuple[Ints, Ints]:
        """The rows of the sentences of each passage, in order, and for each row the place in `slots`."""
        return self._sentences.of(slots)

    def sentence_products(self, rows: Ints, vectors: Floats, owners: Ints | None = None) -> Floats:
        """Of each of these sentences with one vector; with `owners`, with the vector of its owner."""
        return self._sentences.products(rows, vectors, owners)

    def span(self, row: int) -> Span:
        """Where a sentence stands in its passage's text."""
        return self._sentences.span(row)

    def likenesses(self, links: Ints, slots: Ints, phrases: Ints) -> Floats:
        """Products of passages' and phrases' vectors, of these mentions; computed once, kept on the mention. NaN where
        the phrase has no vector."""
        kept = self.phrases.likeness
        known = kept[links]
        missing = np.flatnonzero(np.isnan(known))
        missing = missing[self._bridges.places(phrases[missing]) >= 0]
        if len(missing):
            right, _ = self._bridges.vectors(phrases[missing])
            values = np.einsum("ij,ij->i", gather(self.vectors, slots[missing]), right).astype(np.float16)
            kept[links[missing]] = values
            known[missing] = values
        return known.astype(np.float32)

    def first_pass(self, vector: Floats) -> Floats:
        """Products of every passage's vector with one; of empty slots too."""
        return products(self.vectors, vector)

    # Inside

    def _changed(self) -> None:
        self._selections.clear()
        self.bridging.changed(len(self))
        if self.phrases.untidy or self.lexicon.untidy:
            self.compact()

    def _slot(self) -> int:
        if self._free:
            return self._free.pop()
        slot = len(self._ids)
        self._ids.append("")
        for growing in (self._alive, self._collection, self._lengths, self._passages):
            growing.extend_to(slot + 1)
        return slot

    def _check(self, passage: Passage) -> None:
        vectors = passage.sentence_vectors
        if len(vectors) != len(passage.sentences):
            raise ValueError(f"{len(passage.sentences)} sentences with {len(vectors)} vectors")
        given = [passage.vector, *vectors, *([] if passage.title_vector is None else [passage.title_vector])]
        wrong = next((one for one in given if one.shape != (self.dimension,)), None)
        if wrong is not None:
            raise ValueError(f"a vector of {wrong.shape} in an index of {self.dimension} dimensions")
