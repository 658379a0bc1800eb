"""Phrases: who mentions them, and what is known of each."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.graph.extraction.mentions import Mention
from services.graph.extraction.terms import terms
from services.graph.extraction.words import CALENDAR
from services.graph.passages.index import grams
from services.graph.passages.index.arrays import Bools, Floats, Growing, Ints, ranges
from services.graph.passages.index.interning import Strings
from services.graph.passages.index.kept import Arrays, Kept, taken
from services.graph.passages.index.lexicon import Lexicon
from services.graph.passages.index.links import Links

NESTED: Final = 1
SHARED: Final = 2
GIVEN: Final = 4
"""Kinds of mentions: a part of a longer name; known by being shared alone; said by somebody."""
_PERCENT: Final = 100


class Edges(NamedTuple):
    """Mentions, as arrays of equal length."""

    link: Ints
    """Number of the mention itself, until the next compaction."""
    slot: Ints
    phrase: Ints
    owner: Ints
    """Place in what was asked for."""
    weight: Floats
    """How far the phrase names the passage, 0 to 1."""
    nested: Bools

    def where(self, kept: NDArray[Any]) -> "Edges":
        """Those at some places, or those that a mask keeps."""
        return Edges(*(column[kept] for column in self))


class Phrases(Kept):
    """The bipartite graph of passages and phrases, and the counts that rules are made of."""

    parts = (
        *("_names", "_links", "_sightings", "barren", "cased", "_word_ends", "_words"),
        *("_passages", "_written", "_titles", "_swallower"),
    )

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._names = Strings()
        self._links = Links({"weight": np.uint8, "kind": np.uint8, "likeness": np.float16})
        self._sightings = grams.Sightings()
        self._changed: set[int] = set()
        self.barren, self.cased = Growing(np.bool_), Growing(np.bool_)
        self._word_ends, self._words = Growing(np.uint32), Growing(np.uint32)
        self._passages, self._written, self._titles = Growing(np.int32), Growing(np.int32), Growing(np.int32)
        self._swallower = Growing(np.int32)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def nbytes(self) -> int:
        parts = (self._names, self._links, self._sightings, self.barren, self.cased, self._word_ends, self._words)
        return sum(part.nbytes for part in (*parts, self._passages, self._written, self._titles, self._swallower))

    # What is known of phrases

    def text(self, phrase: int) -> str:
        return self._names.text(phrase)

    def find(self, texts: Sequence[str]) -> Ints:
        """Numbers of phrases; -1 for those nobody ever mentioned."""
        return self._names.find(texts)

    def passages(self, phrases: Ints) -> Ints:
        """How many passages mention each."""
        return self._passages.rows[phrases].astype(np.int64)

    def shared(self) -> Ints:
        """Phrases that several passages mention."""
        return np.flatnonzero(self._passages.rows >= grams.FEWEST)

    def written(self, phrases: Ints) -> Ints:
        """In how many of them it is marked as a name, by a title, a capital or quotation marks."""
        return self._written.rows[phrases].astype(np.int64)

    def titles(self, phrases: Ints) -> Ints:
        """How many of them it names, or was said to stand in."""
        return self._titles.rows[phrases].astype(np.int64)

    def swallowers(self, phrases: Ints) -> Ints:
        """A longer phrase of exactly the same passages; -1 without one. `settle` keeps it true."""
        return self._swallower.rows[phrases].astype(np.int64)

    def words(self, phrases: Ints) -> tuple[Ints, Ints]:
        """The terms of each phrase in order, and for each the place in `phrases`."""
        ends = self._word_ends.rows
        starts = np.where(phrases > 0, ends[phrases - 1], 0).astype(np.int64)
        counts = ends[phrases].astype(np.int64) - starts
        return self._words.rows[ranges(starts, counts)].astype(np.int64), np.repeat(np.arange(len(phrases)), counts)

    # Mentions

    def of_passages(self, slots: Ints) -> Edges:
        """What each of these passages mentions."""
        return self._edges(*self._links.of_slots(slots))

    def of_phrases(self, phrases: Ints, alive: Bools) -> Edges:
        """Who mentions each of these phrases."""
        return self._edges(*self._links.of_others(phrases, alive))

    @property
    def likeness(self) -> NDArray[np.float16]:
        """Of every mention: the product of its passage's and its phrase's vector, NaN where nobody asked yet."""
        return self._links.column("likeness")

    # Changing

    def add(self, slot: int, mentions: Sequence[Mention], candidates: Sequence[str], alive: Bools) -> None:
        """Adds what a passage mentions, and what it mentions if others do."""
        # A number names nothing but what it is the title of.
        kept = [mention for mention in mentions if mention.weight > 0 or not is_number(mention.key)]
        numbers = self._intern([mention.key for mention in kept], slot, alive)
        weights = [round(mention.weight * _PERCENT) for mention in kept]
        self._attach(
            [slot] * len(kept), numbers, weights, [NESTED * mention.nested + GIVEN * mention.given for mention in kept]
        )
        written = {mention.key for mention in kept}
        self._share(slot, [text for text in candidates if text not in written], alive)

    def remove(self, slot: int) -> None:
        """Takes a passage's mentions back."""
        links, _ = self._links.of_slots(np.array([slot]))
        self._count(links, -1)
        self._links.buried(len(links))

    def settle(self, alive: Bools) -> None:
        """Finds for each shared phrase that changed whether a longer one says the same. All passages that have the one
        then have the other, so that any one of them can tell."""
        if not self._changed:
            return
        changed = self._touched(np.array(sorted(self._changed), np.int64))
        self._changed.clear()
        self._swallower.rows[changed] = -1
        counts = self.passages(changed)
        asked = changed[(self.written(changed) == 0) & (counts >= grams.FEWEST) & (counts <= grams.MOST)]
        mentions = self.of_phrases(asked, alive)
        _, first = np.unique(mentions.owner, return_index=True)
        for phrase, slot in zip(asked.tolist(), mentions.slot[first].tolist(), strict=True):
            there = self.of_passages(np.array([slot])).phrase
            same = there[(self._passages.rows[there] == self._passages.rows[phrase]) & (self._written.rows[there] == 0)]
            found = grams.swallower(self.text(phrase), [self.text(other) for other in same.tolist()])
            if found >= 0:
                self._swallower.rows[phrase] = same[found]

    @property
    def untidy(self) -> bool:
        return self._links.untidy

    def compact(self, alive: Bools) -> None:
        self._links.compact(alive)
        self._sightings.compact(alive)

    def own(self) -> Arrays:
        return {"changed": np.fromiter(self._changed, np.int64, len(self._changed))}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._changed = set(taken(arrays, "changed", np.int64).tolist())

    def _edges(self, links: Ints, owners: Ints) -> Edges:
        return Edges(
            links,
            self._links.slot[links].astype(np.int64),
            self._links.other[links].astype(np.int64),
            owners,
            self._links.column("weight")[links].astype(np.float32) / np.float32(_PERCENT),
            (self._links.column("kind")[links] & NESTED) > 0,
        )

    def _touched(self, changed: Ints) -> Ints:
        """The changed phrases, those that one of them swallowed, and those that one of them may swallow now."""
        mask = np.zeros(len(self) + 1, np.bool_)
        mask[changed] = True
        # Who is swallowed by nobody has -1, which is the last place: never set.
        swallowed = np.flatnonzero(mask[self._swallower.rows])
        counts = self.passages(changed)
        some = changed[(counts >= grams.FEWEST) & (counts <= grams.MOST)]
        parts = self.find(sorted(set().union(*(grams.parts(self.text(phrase)) for phrase in some.tolist()))))
        parts = parts[parts >= 0]
        return np.unique(np.concatenate([changed, swallowed, parts[self.written(parts) == 0]]))

    def _share(self, slot: int, candidates: Sequence[str], alive: Bools) -> None:
        """Links a passage with the phrases it shares; what nobody else has yet is only noted."""
        numbers = self._names.find(candidates)
        unknown = [text for text, number in zip(candidates, numbers.tolist(), strict=True) if number < 0]
        first = self._sightings.first(unknown, alive)
        second = [text for text, before in zip(unknown, first.tolist(), strict=True) if before >= 0]
        new = self._intern(second, slot, alive)
        self._sightings.see([text for text, before in zip(unknown, first.tolist(), strict=True) if before < 0], slot)
        numbers = np.concatenate([numbers[numbers >= 0], new])
        self._attach([slot] * len(numbers), numbers, [0] * len(numbers), [SHARED] * len(numbers))

    def _intern(self, texts: Sequence[str], slot: int, alive: Bools) -> Ints:
        """Numbers for phrases. A new one is linked with the passage that had it first, when it was not known yet that
        it is one."""
        numbers = self._names.find(texts)
        missing = np.flatnonzero(numbers < 0)
        if not len(missing):
            return numbers
        new = [texts[place] for place in missing.tolist()]
        numbers[missing] = self._names.add(new)
        self._describe(new)
        slots = self._sightings.first(new, alive)
        seen = (slots >= 0) & (slots != slot)
        count = int(seen.sum())
        self._attach(slots[seen].tolist(), numbers[missing][seen], [0] * count, [SHARED] * count)
        return numbers

    def _describe(self, new: Sequence[str]) -> None:
        words = [terms(text) for text in new]
        different = sorted(set().union(*words))
        numbers = dict(zip(different, self._lexicon.intern(different).tolist(), strict=True))
        self._words.append(np.array([numbers[word] for one in words for word in one], np.uint32))
        start = int(self._word_ends.rows[-1]) if len(self._word_ends) else 0
        self._word_ends.append((start + np.cumsum([len(one) for one in words])).astype(np.uint32))
        self.barren.append(np.array([is_number(text) or text in CALENDAR for text in new], np.bool_))
        self.cased.append(np.array([text.upper() != text for text in new], np.bool_))
        for growing in (self._passages, self._written, self._titles):
            growing.extend_to(len(self))
        self._swallower.append(np.full(len(new), -1, np.int32))

    def _attach(self, slots: Sequence[int], phrases: Ints, weights: Sequence[int], kinds: Sequence[int]) -> None:
        first = len(self._links)
        likeness = np.full(len(phrases), np.nan, np.float16)
        weight, kind = np.array(weights, np.uint8), np.array(kinds, np.uint8)
        self._links.add(np.array(slots, np.int64), phrases, weight=weight, kind=kind, likeness=likeness)
        self._count(np.arange(first, len(self._links)), 1)

    def _count(self, links: Ints, step: int) -> None:
        phrases = self._links.other[links].astype(np.int64)
        kinds, weights = self._links.column("kind")[links], self._links.column("weight")[links]
        np.add.at(self._passages.rows, phrases, step)
        np.add.at(self._written.rows, phrases[(kinds & SHARED) == 0], step)
        np.add.at(self._titles.rows, phrases[(weights > 0) | ((kinds & GIVEN) > 0)], step)
        self._changed.update(phrases.tolist())


def is_number(text: str) -> bool:
    """Whether every word of a phrase begins with a digit."""
    return all(word[0].isdigit() for word in text.split(" "))
