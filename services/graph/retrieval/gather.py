"""Brings together what an answer is chosen from: passages from vector, names and links from the graph store."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np

from services.graph.model import Entity, Mention
from services.graph.retrieval.passages import Found, Passages, Point, Vector
from services.graph.retrieval.question import Question
from services.graph.retrieval.scoring import (
    ANCHORS,
    Bridge,
    Candidate,
    Key,
    likeness,
    most_mentions,
    normalised,
    rarity,
    rewritten,
    terms_in,
)
from services.graph.store import Reader

T = TypeVar("T")

_NAMES_OF_ANCHOR: Final = 12
"""Names of one anchor that are followed, the rarest first. Each is embedded, so this bounds the cost of an answer."""
_TARGETS_OF_NAME: Final = 50
_TARGETS: Final = 400
_NAMED_BY_QUESTION: Final = 50


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an answer may come from."""

    tenant: str
    collections: Sequence[str]
    graphs: Sequence[str]
    """Whose links may be used. A collection's graph has its name, so only those that are collections too lead
    anywhere."""


@dataclass(slots=True)
class Naming:
    """That the question's names name a passage."""

    worth: float = 0.0
    """The sum over these names of weight and rarity."""
    by: tuple[float, str, str] = (0.0, "", "")
    """Worth, key and writing of the one that does most."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the question that the graph knows, and which passages they name."""

    keys: Sequence[str] = ()
    naming: Mapping[Key, Naming] = field(default_factory=dict)
    passages: int = 0
    """How many the graphs have."""


async def together(*work: Coroutine[Any, Any, T]) -> list[T]:
    """All results; the first error ends the others and is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def find(passages: Passages, scope: Scope, question: str, k: int) -> list[Found]:
    """Hybrid search in each collection."""
    found = await together(*(passages.find(collection, question, k) for collection in scope.collections))
    return [one for some in found for one in some]


async def models_of(passages: Passages, scope: Scope) -> dict[str, str]:
    """The embedding model of each collection."""
    models = await together(*(passages.model_of(collection) for collection in scope.collections))
    return dict(zip(scope.collections, models, strict=True))


async def embed(passages: Passages, models: Iterable[str], texts: Sequence[str]) -> dict[str, dict[str, Vector]]:
    """Model → text → vector of length 1; one call a model."""
    if not texts:
        return {model: {} for model in models}
    distinct = sorted(set(models))
    made = await together(*(passages.embed(texts, model) for model in distinct))
    return {
        model: {text: normalised(vector) for text, vector in zip(texts, vectors, strict=True)}
        for model, vectors in zip(distinct, made, strict=True)
    }


async def points(passages: Passages, keys: Iterable[Key]) -> dict[Key, Point]:
    """Points by key, with vectors; one call a collection."""
    by_collection: dict[str, list[str]] = defaultdict(list)
    for collection, point in sorted(keys):
        by_collection[collection].append(point)
    found = await together(*(passages.points(collection, ids) for collection, ids in by_collection.items()))
    return {(point.collection, point.id): point for some in found for point in some}


async def names_in(store: Reader, scope: Scope, question: Question) -> Names:
    """What the graph knows of the question's words."""
    sizes = await store.sizes(scope.tenant, scope.graphs)
    passages = sum(sizes.values())
    phrases = question.phrases()
    if not passages or not phrases:
        return Names(passages=passages)
    known = _by_key(await store.entities(scope.tenant, scope.graphs, phrases))
    keys = question.names(known)
    wanted = [(entity.graph, key) for key in keys if _links(known[key], passages, least=1) for entity in known[key]]
    naming: dict[Key, Naming] = defaultdict(Naming)
    if wanted:
        for mention in await store.mentioning(scope.tenant, wanted, _NAMED_BY_QUESTION):
            if mention.weight > 0 and mention.graph in scope.collections:
                one = naming[mention.graph, mention.passage]
                worth = mention.weight * rarity(_count(known[mention.key]), passages)
                one.worth += worth
                one.by = max(one.by, (worth, mention.key, mention.name))
    return Names(keys, naming, passages)


async def bridges_from(
    store: Reader, scope: Scope, anchors: Sequence[Key], names: Names
) -> tuple[list[Bridge], dict[Key, list[Mention]]]:
    """Every way that leads from the anchors to other passages over one name; and what the anchors mention."""
    mentions: dict[Key, list[Mention]] = defaultdict(list)
    inside = [anchor for anchor in anchors if anchor[0] in scope.graphs]
    if not inside:
        return [], mentions
    for mention in await store.mentions(scope.tenant, inside):
        mentions[mention.graph, mention.passage].append(mention)
    keys = sorted({mention.key for found in mentions.values() for mention in found} - set(names.keys))
    known = _by_key(await store.entities(scope.tenant, scope.graphs, keys))
    followed: dict[Key, list[Mention]] = {}
    for anchor, found in mentions.items():
        linking = [
            mention for mention in found if mention.key in known and _links(known[mention.key], names.passages, least=2)
        ]
        linking.sort(key=lambda mention: (_count(known[mention.key]), mention.key))
        followed[anchor] = [mention for mention in linking if not _is_number(mention.key)][:_NAMES_OF_ANCHOR]
    wanted = sorted({mention.key for found in followed.values() for mention in found})
    pairs = [(entity.graph, key) for key in wanted for entity in known[key]]
    if not pairs:
        return [], mentions
    by_name: dict[str, list[Mention]] = defaultdict(list)
    for mention in await store.mentioning(scope.tenant, pairs, _TARGETS_OF_NAME):
        if mention.graph in scope.collections:
            by_name[mention.key].append(mention)
    bridges = [
        Bridge(
            anchor,
            (target.graph, target.passage),
            start.key,
            target.name,
            target.graph,
            rarity(_count(known[start.key]), names.passages),
            target.weight,
        )
        for anchor, found in followed.items()
        for start in found
        for target in by_name[start.key]
        # Of an anchor's own name, other passages of that name are the same thing again, not a hop.
        if (target.graph, target.passage) != anchor and not (start.weight > 0 and target.weight > 0)
    ]
    bridges.sort(key=lambda bridge: (-bridge.rarity, bridge))
    kept = set(list(dict.fromkeys(bridge.target for bridge in bridges))[:_TARGETS])
    return [bridge for bridge in bridges if bridge.target in kept], mentions


def candidates_of(
    found: Sequence[Found],
    named: Mapping[Key, Point],
    names: Names,
    models: Mapping[str, str],
    question: Mapping[str, Vector],
    terms: Sequence[str],
) -> dict[Key, Candidate]:
    """What search and the question's names brought, each passage with its own worth.

    `question` is the question's vector by model.
    """
    best: dict[str, float] = defaultdict(float)
    for one in found:
        best[one.point.collection] = max(best[one.point.collection], one.lexical or 0.0)
    lexical = {
        (one.point.collection, one.point.id): one.lexical / best[one.point.collection]
        for one in found
        if one.lexical is not None and one.lexical > 0
    }
    everything = [*(one.point for one in found), *named.values()]
    return {
        (point.collection, point.id): candidate(
            point,
            question[models[point.collection]],
            lexical.get((point.collection, point.id), 0.0),
            names.naming[point.collection, point.id].worth if (point.collection, point.id) in names.naming else 0.0,
            terms,
        )
        for point in everything
    }


def candidate(point: Point, question: Vector, lexical: float, naming: float, terms: Sequence[str]) -> Candidate:
    """A passage with its own worth; what it is worth as the end of a path is another matter."""
    vector = None if point.vector is None else normalised(point.vector)
    return Candidate(point, vector, likeness(question, vector), lexical, naming, terms_in(point, terms))


def anchor_texts(anchor: Candidate, mentions: Sequence[Mention], names: Names) -> list[str]:
    """What stands for an anchor in a question: the question's names in it; else its title; else nothing."""
    named = sorted({mention.key for mention in mentions} & set(names.keys))
    if named:
        return named
    title = anchor.point.title.strip()
    return [title] if title else []


def score_bridges(
    bridges: Sequence[Bridge],
    candidates: Mapping[Key, Candidate],
    texts: Mapping[Key, Sequence[str]],
    vectors: Mapping[str, Mapping[str, Vector]],
    models: Mapping[str, str],
    question: Mapping[str, Vector],
) -> list[tuple[Bridge, float]]:
    """Each bridge with the likeness of its target to the question rewritten for it.

    `texts` are what stands for each anchor; `vectors` those of all texts by model, `question` the
    question's.
    """
    scored = []
    rewrites: dict[tuple[Key, str, str], Vector] = {}
    for bridge in bridges:
        target = candidates[bridge.target]
        model = models[target.point.collection]
        if (bridge.anchor, bridge.name, model) not in rewrites:
            mine = vectors[model]
            standing = [mine[text] for text in texts[bridge.anchor]]
            start = candidates[bridge.anchor]
            # Without a name or a title the anchor itself stands for what is known already.
            anchor = start.vector if models[start.point.collection] == model else None
            if standing:
                anchor = normalised(np.mean(standing, axis=0, dtype=np.float32))
            rewrites[bridge.anchor, bridge.name, model] = rewritten(question[model], mine[bridge.name], anchor)
        scored.append((bridge, likeness(rewrites[bridge.anchor, bridge.name, model], target.vector)))
    return scored


def anchors_of(candidates: Mapping[Key, Candidate]) -> list[Key]:
    """The passages that paths begin at."""
    return sorted(candidates, key=lambda key: (-candidates[key].base, key))[:ANCHORS]


def _by_key(entities: Iterable[Entity]) -> dict[str, list[Entity]]:
    """A name of several graphs is one name: links cross from graph to graph, within the scope."""
    found: dict[str, list[Entity]] = defaultdict(list)
    for entity in entities:
        found[entity.key].append(entity)
    return found


def _count(entities: Sequence[Entity]) -> int:
    return sum(entity.mention_count for entity in entities)


def _links(entities: Sequence[Entity], passages: int, *, least: int) -> bool:
    return least <= _count(entities) <= most_mentions(passages)


def _is_number(key: str) -> bool:
    return key.replace(" ", "").isdigit()
