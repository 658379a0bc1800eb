"""What one passage says, and the mentions and pairs of names that follow from it."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from services.graph.extraction.names import Name
from services.graph.extraction.sentences import Sentence
from services.graph.model import Passage

Root = Callable[[str], str]
"""The key of the entity that a key means: itself, or what it was merged into."""


class Told(NamedTuple):
    """A mention that a caller told of."""

    key: str
    name: str
    text: str
    """As it stands in the passage; empty: like the name."""


@dataclass(frozen=True, slots=True)
class Said:
    """A passage with all its names, those found in it and those told of."""

    id: str
    document: str
    title: str
    index: int
    digest: str
    names: Sequence[Name]
    sentences: Sequence[Sentence]
    told: Sequence[Told] = ()

    @property
    def keys(self) -> set[str]:
        """Every key it says; those of the sentences are among those of the names."""
        return {name.key for name in self.names} | {told.key for told in self.told}

    def telling(self, told: Sequence[Told]) -> "Said":
        """The same passage with other mentions told of."""
        return replace(self, told=told)


class Edge(NamedTuple):
    """That a passage mentions an entity."""

    name: str
    """As it is written there."""
    form: str
    """By which the entity's name is chosen; see `form`."""
    weight: float
    said: Sequence[str]
    """The keys under which it is mentioned, sorted: the entity's own, and those of what was merged into it."""


def said_by(passage: Passage) -> Said:
    """What was found in a passage."""
    return Said(
        passage.id,
        passage.document,
        passage.title,
        passage.index,
        passage.digest,
        tuple(Name(name.key, name.text, float(name.weight)) for name in passage.names),
        tuple(Sentence(one.text, tuple(map(tuple, one.names))) for one in passage.sentences),
    )


def dumps(said: Said) -> tuple[str, str]:
    """Names and sentences as text to be kept."""
    return _json(said.names), _json(said.sentences)


def names_from(text: str) -> tuple[Name, ...]:
    return tuple(Name(*one) for one in json.loads(text))


def sentences_from(text: str) -> tuple[Sentence, ...]:
    return tuple(Sentence(sentence, tuple(map(tuple, names))) for sentence, names in json.loads(text))


def form(name: str) -> str:
    """What orders the writings of one name: mixed case before capitals before lower case, then by their letters.

    One character, then the name.
    """
    if name.islower():
        return "2" + name
    return ("1" if name.isupper() else "0") + name


def edges(said: Said, root: Root) -> dict[str, Edge]:
    """Entity's key → how the passage mentions it."""
    found: dict[str, list[tuple[float, str, str, str, str]]] = {}
    for key, name, written, weight in _mentions(said):
        entity = root(key)
        own = form(name)
        # The name of what was merged into an entity names it only while nothing else does.
        chosen = own if key == entity else f"{int(own[0]) + 3}{name}"
        found.setdefault(entity, []).append((-weight, own, written, chosen, key))
    return {entity: _edge(all_) for entity, all_ in found.items()}


def pairs(said: Said, root: Root) -> Counter[tuple[str, str]]:
    """Two entities, the one whose key is less first → in how many sentences both are named."""
    counts: Counter[tuple[str, str]] = Counter()
    for sentence in said.sentences:
        counts.update(pairs_of(sentence, root))
    return counts


def pairs_of(sentence: Sentence, root: Root) -> set[tuple[str, str]]:
    """The pairs of entities that a sentence names, each once. Names on the same words are no pair."""
    names = [{root(key) for key in keys} for keys in sentence.names]
    return {
        (min(one, other), max(one, other))
        for place, left in enumerate(names)
        for right in names[place + 1 :]
        for one in left
        for other in right
        if one != other and one not in right and other not in left
    }


def _mentions(said: Said) -> Iterator[tuple[str, str, str, float]]:
    for key, text, weight in said.names:
        yield key, text, text, weight
    for key, name, text in said.told:
        yield key, name, text or name, 0.0


def _edge(mentions: list[tuple[float, str, str, str, str]]) -> Edge:
    weight, _, written, _, _ = min(mentions)
    return Edge(written, min(one[3] for one in mentions), -weight, sorted({one[4] for one in mentions}))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
