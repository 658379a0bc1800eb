"""The words of a collection: which begin like this, in how many points they stand, a sample of them."""
# ruff: noqa: S608 - texts are put together from constants and numbers of the catalogue; values are always bound

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.runtime.errors import InvalidArgument, Violation
from services.vector.filters.tree import Filter, HasPrefix
from services.vector.model import Collection
from services.vector.stores.database.connections import Session
from services.vector.stores.points import lexicon
from services.vector.stores.points.layout import Layout

BEGINNINGS: Final = 2_000
"""Words a prefix may stand for: the index compares each of them with every point it meets."""
_AFTER_ALL: Final = "\U0010ffff"
"""Behind every character of a word, in the order of code points that the column has."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """The words that begin in one way."""

    words: Sequence[str]
    """Those in the most points first."""
    terms: Sequence[int]
    """What finds points with one of them, and no others."""
    unsure: Sequence[bytes]
    """Keys of the rest: another word has the same 32 bits, so points found by them have to be looked into."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What has to be known of a collection's words to turn a filter into SQL."""

    language: str
    prefixes: Mapping[str, Expansion] = field(default_factory=dict)


async def needed(session: Session, collection: Collection, filter: Filter | None) -> Vocabulary:
    """What the filter needs; asks the database only when it has prefixes.

    Raises InvalidArgument for a prefix that too many words begin with.
    """
    asked = {} if filter is None else {one.word: one for one in filter.each() if isinstance(one, HasPrefix)}
    return Vocabulary(
        collection.language, {word: await _expand(session, collection, one) for word, one in asked.items()}
    )


async def counts(session: Session, collection: Collection, words: Iterable[str]) -> dict[str, int]:
    """In how many points each of these terms stands; those that stand in none are left out."""
    keys = {lexicon.key(word): word for word in words}
    rows = await session.fetch(
        f"SELECT key, points FROM {Layout(collection.id)['term']} WHERE key = ANY($1::bytea[]) AND points > 0",
        list(keys),
    )
    return {keys[row["key"]]: row["points"] for row in rows}


async def sample(session: Session, collection: Collection, most: int) -> list[tuple[str, int]]:
    """Words drawn evenly from all, with how many points each stands in: keys are hashes, so the first are any."""
    rows = await session.fetch(
        f"SELECT word, points FROM {Layout(collection.id)['term']} WHERE points > 0 ORDER BY key LIMIT {most}"
    )
    return [(row["word"], row["points"]) for row in rows]


async def _expand(session: Session, collection: Collection, prefix: HasPrefix) -> Expansion:
    term = Layout(collection.id)["term"]
    rows = await session.fetch(
        f"""
        SELECT word, key, EXISTS (
            SELECT FROM {term} o WHERE o.key > substring(w.key, 1, 4)
            AND o.key <= substring(w.key, 1, 4) || '\\xffff'::bytea AND o.key <> w.key) AS shared
        FROM {term} w WHERE word >= $1::text AND word < $2::text AND points > 0
        ORDER BY points DESC, word LIMIT {BEGINNINGS + 1}
        """,
        prefix.word,
        prefix.word + _AFTER_ALL,
    )
    if len(rows) > BEGINNINGS:
        text = f"is too short: more than {BEGINNINGS:,} words of the collection begin with {prefix.word!r}"
        raise InvalidArgument(
            f"{prefix.field} {text}. Give more of the word.", violations=[Violation(prefix.field, text)]
        )
    return Expansion(
        words=[row["word"] for row in rows],
        terms=[lexicon.number(row["key"]) for row in rows if not row["shared"]],
        unsure=[row["key"] for row in rows if row["shared"]],
    )
