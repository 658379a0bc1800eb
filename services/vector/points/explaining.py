"""Why a search finds what it finds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.vector.collections import Catalogue
from services.vector.model import Collection, ScoredPoint
from services.vector.search import Prepared, Question, Search
from services.vector.stores.database.connections import Database
from services.vector.stores.points import explaining as store
from services.vector.stores.points import search
from services.vector.stores.points.explaining import Held, Reached, Sizes
from services.vector.stores.points.terms import vocabulary


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the question: in how many points it stands, what an occurrence weighs, what it did."""

    word: str
    points: int
    idf: float
    role: str


@dataclass(frozen=True, slots=True)
class TermScore:
    """What a word gave a point."""

    word: str
    count: int
    score: float


@dataclass(frozen=True, slots=True)
class Explained:
    """A search with its answer."""

    collection: Collection
    prepared: Prepared
    plan: search.Plan
    sizes: Sizes
    route_reason: str
    depth: int
    """How many of its best each arm looks for."""
    ef: int
    """Width of the index search; 0 without index."""
    more: bool
    """Whether more points fit the filter than were counted."""
    points: Sequence[ScoredPoint]
    terms: Sequence[Term]
    reached: Reached | None
    """None: the lexical arm was not asked."""
    parts: Mapping[str, Sequence[TermScore]]
    """By the point's id, most first."""
    postgres_plan: str


class Explaining:
    """Runs searches like Search, and looks closer."""

    def __init__(self, database: Database, catalogue: Catalogue, search: Search) -> None:
        self._database = database
        self._catalogue = catalogue
        self._search = search

    async def explain(self, tenant: str, question: Question, *, with_plan: bool) -> Explained:
        """The answer and how it came about. Raises what Search.query raises."""

        async def act(collection: Collection) -> Explained:
            return await self._explain(collection, question, with_plan=with_plan)

        return await self._catalogue.on(tenant, question.collection, act)

    async def _explain(self, collection: Collection, question: Question, *, with_plan: bool) -> Explained:
        prepared = await self._search.prepare(collection, question)
        want = replace(prepared.want, explain=True)
        async with self._database.session() as session:
            found, plan = await search.find(session, collection, want)
            want = replace(want, deep=plan.deep)
            sizes = await store.sizes(session, collection)
            known = await vocabulary.needed(session, collection, want.filter)
            terms: list[Term] = []
            reached, held = None, {}
            if want.terms is not None:
                want = replace(want, terms=search.scored_terms(want, known))
                counts = await vocabulary.counts(session, collection, want.terms or ())
                reached = await store.reached(session, collection, want, plan, known)
                terms = _terms(want.terms or (), counts, sizes, reached)
                held = await store.held(session, collection, [one.point.id for one in found], list(counts))
            text = await store.plan(session, collection, want, plan, known) if with_plan else ""
        depth = search.depth_of(want)
        return Explained(
            collection=collection,
            prepared=prepared,
            plan=plan,
            sizes=sizes,
            route_reason=_reason(collection, prepared, plan, sizes),
            depth=depth,
            ef=store.width(want) if plan.route == "index" and sizes.indexed else 0,
            more=(plan.fitting or 0) > search.FEW,
            points=found,
            terms=terms,
            reached=reached,
            parts={id: _scores(collection, one, terms, sizes) for id, one in held.items()},
            postgres_plan=text,
        )


def _terms(words: Sequence[str], counts: Mapping[str, int], sizes: Sizes, reached: Reached) -> list[Term]:
    terms, so_far, common = [], 0, 0
    for place, word in enumerate(sorted(counts, key=lambda one: store.order(one, counts[one]))):
        so_far += counts[word]
        rare = place == 0 or so_far <= store.CANDIDATES
        common += not rare
        fills = reached.rest > 0 or (reached.next > 0 and common == 1)
        idf = math.log(1 + (sizes.points - counts[word] + 0.5) / (counts[word] + 0.5))
        terms.append(Term(word, counts[word], idf, "candidates" if rare else "fills" if fills else "scores"))
    return terms + [Term(word, 0, 0.0, "unknown") for word in words if word not in counts]


def _scores(collection: Collection, held: Held, terms: Sequence[Term], sizes: Sizes) -> list[TermScore]:
    k1, b = collection.k1, collection.b
    scores = []
    for term in terms:
        if count := held.counts.get(term.word, 0):
            norm = k1 * (1 - b + b * held.length / sizes.average_length)
            scores.append(TermScore(term.word, count, term.idf * count * (k1 + 1) / (count + norm)))
    return sorted(scores, key=lambda one: -one.score)


def _reason(collection: Collection, prepared: Prepared, plan: search.Plan, sizes: Sizes) -> str:
    if prepared.want.exact:
        return "It was asked for."
    if plan.repeated:
        return "The index ended before enough points that fit the filter, so all that fit were compared."
    if plan.route == "exact":
        return f"{plan.fitting:,} points fit the filter, few enough to compare each."
    if not collection.indexed:
        return "There is no index for so many dimensions: every vector is compared."
    if not sizes.indexed:
        return "The collection is small and has no index yet: every vector is compared."
    more = (
        ""
        if prepared.want.filter is None
        else " More than 10,000 points fit the filter: each that it brings is looked at."
    )
    return f"The index is asked.{more}"
