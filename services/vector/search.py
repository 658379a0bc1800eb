"""Questions to a collection."""

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from services.runtime.errors import DimensionMismatch, Violation
from services.vector.collections import Catalogue
from services.vector.embedding import Embedder
from services.vector.filters.tree import Filter, HasPhrase, HasPrefix
from services.vector.model import Collection, Mode, Point, ScoredPoint, Vector
from services.vector.nearest import MOST, Nearest
from services.vector.points.leaning import DENSE, Leaning
from services.vector.stores.database.connections import Database
from services.vector.stores.points import search as store
from services.vector.stores.points import selecting
from services.vector.stores.points import writing as point_store
from services.vector.stores.points.fusing import RRF_K, USUAL, Fusion
from services.vector.text import words
from services.vector.vectors import checked

_AT_ONCE: Final = 4
"""Statements of a batch: no batch takes all of the connections."""
_TOGETHER: Final = 4
"""Questions of a batch that share a statement: the answers of some are made while others are looked for."""


@dataclass(frozen=True, slots=True)
class Fused:
    """How the arms are to be fused; what is None follows from the question and the collection."""

    method: Literal["rrf", "scores"] = "rrf"
    rrf_k: float | None = None
    dense: float | None = None
    lexical: float | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for. `text`, `vector` or both, `required`, or these; `mode` fits them (the contract's rule)."""

    collection: str
    text: str
    vector: Vector | None
    mode: Mode
    k: int
    with_vector: bool
    with_payload: bool
    filter: Filter | None = None
    offset: int = 0
    threshold: float | None = None
    exact: bool = False
    ef: int | None = None
    required: Sequence[HasPhrase | HasPrefix] = ()
    """What each point's text has to hold; these words are scored like those of `text`."""
    fusion: Fused = Fused()
    field: str = ""
    """Where the question stands in its request: "" or `queries[3].`."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question, ready for the store, and how it became so."""

    want: store.Want
    vector: str = ""
    """Where the vector is from: `given`, or the model's name; empty: there is none."""
    reason: str = ""
    """Where the weights of the fusion are from."""
    stages: Sequence[tuple[str, float]] = ()
    """Seconds each step took."""


class Search:
    """Reads points."""

    def __init__(self, database: Database, catalogue: Catalogue, embedder: Embedder, nearest: Nearest) -> None:
        self._database = database
        self._catalogue = catalogue
        self._embedder = embedder
        self._nearest = nearest
        self._leaning = Leaning(database)

    async def query(self, tenant: str, question: Question) -> list[ScoredPoint]:
        """The `k` points that fit best, best first.

        Raises CollectionNotFound, DimensionMismatch, InvalidVector, InvalidArgument for a prefix that too many words
        begin with, UpstreamError and its kin.
        """

        async def ask(collection: Collection) -> list[ScoredPoint]:
            if _plain(question):
                vector = await self._vector(collection, question)
                return await self._nearest.of(collection, vector, question.k, with_payload=question.with_payload)
            prepared = await self.prepare(collection, question)
            async with self._database.session() as session:
                found, _ = await store.find(session, collection, prepared.want)
            return found

        return await self._catalogue.on(tenant, question.collection, ask)

    async def query_all(
        self, tenant: str, questions: Sequence[Question], answered: Callable[[int, list[ScoredPoint]], None]
    ) -> None:
        """Asks several questions, a few statements at a time; those by vector alone share statements.

        `answered` is told the place of a question and the points that answer it, in any order, while others are under
        way. Raises what `query` raises, of the first question that failed; the others are ended then.
        """
        turns = asyncio.Semaphore(_AT_ONCE)

        async def ask(places: Sequence[int]) -> None:
            alike = [questions[place] for place in places]
            async with turns:
                found = (
                    [await self.query(tenant, alike[0])]
                    if len(alike) == 1
                    else await self._catalogue.on(
                        tenant, alike[0].collection, lambda collection: self._ask_alike(collection, alike)
                    )
                )
            for place, answer in zip(places, found, strict=True):
                answered(place, answer)

        try:
            async with asyncio.TaskGroup() as group:
                for places in _shares(questions):
                    group.create_task(ask(places))
        except BaseExceptionGroup as errors:
            # The first says what is wrong; the others are no news to the caller.
            raise errors.exceptions[0] from None

    async def _ask_alike(self, collection: Collection, questions: Sequence[Question]) -> list[list[ScoredPoint]]:
        vectors = [await self._vector(collection, question) for question in questions]
        first = questions[0]
        return await self._nearest.of_each(collection, vectors, first.k, with_payload=first.with_payload)

    async def get(self, tenant: str, name: str, ids: list[str], *, with_vector: bool) -> tuple[list[Point], list[str]]:
        """The points of these ids in this order, and the ids that don't exist.

        Raises CollectionNotFound.
        """
        found = await self._catalogue.on(tenant, name, functools.partial(self._read, ids, with_vector=with_vector))
        asked = dict.fromkeys(ids)
        return [found[one] for one in asked if one in found], [one for one in asked if one not in found]

    async def count(self, tenant: str, name: str, filter: Filter | None, *, approximate: bool) -> int:
        """How many points there are that fit the filter; by a sample, if `approximate`, where they are many.

        Raises CollectionNotFound.
        """
        return await self._catalogue.on(tenant, name, functools.partial(self._count, filter, approximate=approximate))

    async def _count(self, filter: Filter | None, collection: Collection, *, approximate: bool) -> int:
        async with self._database.session() as session:
            if filter is None:
                return await selecting.count_all(session, collection)
            if approximate:
                return await selecting.estimate(session, collection, filter)
            return await selecting.count(session, collection, filter)

    async def _read(self, ids: list[str], collection: Collection, *, with_vector: bool) -> dict[str, Point]:
        async with self._database.session() as session:
            return {one.id: one for one in await point_store.get(session, collection, ids, with_vector=with_vector)}

    async def prepare(self, collection: Collection, question: Question) -> Prepared:
        """Makes the vector, the words and the weights. Raises DimensionMismatch, InvalidVector, UpstreamError, …"""
        began = time.perf_counter()
        vector = await self._vector(collection, question) if question.mode != "lexical" else None
        stages = [] if vector is None or question.vector is not None else [("embed", time.perf_counter() - began)]
        fusion, reason = USUAL, ""
        if question.mode == "hybrid":
            began = time.perf_counter()
            fusion, reason = await self._fusion(collection, question)
            stages.append(("lean", time.perf_counter() - began))
        texts = [question.text, *(one.text for one in question.required if isinstance(one, HasPhrase))]
        conditions = [*question.required] if question.filter is None else [question.filter, *question.required]
        want = store.Want(
            terms=words.of_query("\n".join(texts), collection.language) if question.mode != "dense" else None,
            vector=vector,
            k=question.k,
            filter=Filter(must=conditions) if question.required else question.filter,
            offset=question.offset,
            threshold=question.threshold,
            exact=question.exact,
            ef=question.ef,
            with_vector=question.with_vector,
            with_payload=question.with_payload,
            prefixes=[one.word for one in question.required if isinstance(one, HasPrefix)],
            complete=bool(question.required) and question.mode == "lexical",
            fusion=fusion,
        )
        source = "" if vector is None else "given" if question.vector is not None else collection.embedding_model
        return Prepared(want, source, reason, stages)

    async def _fusion(self, collection: Collection, question: Question) -> tuple[Fusion, str]:
        asked = question.fusion
        dense, reason = asked.dense, "The weights are the usual ones."
        if asked.dense is not None or asked.lexical is not None:
            reason = "The weights were given."
        elif question.vector is None:
            model = self._embedder.model(collection.embedding_model)
            if told := await self._leaning.reason(collection, model, question.text):
                dense, reason = DENSE, f"{told} So words count for more."
        return Fusion(
            method=asked.method,
            rrf_k=RRF_K if asked.rrf_k is None else asked.rrf_k,
            dense=1.0 if dense is None else dense,
            lexical=1.0 if asked.lexical is None else asked.lexical,
        ), reason

    async def _vector(self, collection: Collection, question: Question) -> Vector:
        if question.vector is not None:
            return checked(collection, question.vector, f"{question.field}vector")
        model = self._embedder.model(collection.embedding_model)
        if model.dimension != collection.dimension:
            raise DimensionMismatch(
                f"The collection has {collection.dimension} dimensions, which no embedding model of it makes: "
                "give a vector.",
                violations=[
                    Violation(f"{question.field}vector", f"must be given, with {collection.dimension} numbers")
                ],
            )
        vector: Vector = (await self._embedder.embed(model, [question.text], urgent=True)).vectors[0]
        return vector


def _plain(question: Question) -> bool:
    """Whether nothing is asked for but the nearest points."""
    return (
        question.mode == "dense"
        and question.filter is None
        and question.threshold is None
        and question.ef is None
        and question.k <= MOST
        and not (question.offset or question.exact or question.with_vector or question.required)
    )


def _shares(questions: Sequence[Question]) -> list[list[int]]:
    """The places of questions, each share for one statement: plain ones that have their vector share it."""
    alike: dict[tuple[str, int, bool], list[int]] = {}
    shares: list[list[int]] = []
    for place, question in enumerate(questions):
        if _plain(question) and question.vector is not None:
            alike.setdefault((question.collection, question.k, question.with_payload), []).append(place)
        else:
            shares.append([place])
    for places in alike.values():
        shares.extend(places[first : first + _TOGETHER] for first in range(0, len(places), _TOGETHER))
    return shares
