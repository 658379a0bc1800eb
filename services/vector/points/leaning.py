"""When hybrid search trusts words more than vectors: where the model was not made for the script."""

import time
from typing import Final

from services.providers.embedding.model import EmbeddingModel
from services.vector.model import Collection
from services.vector.stores.database.connections import Database
from services.vector.stores.points.terms import vocabulary
from services.vector.text import scripts
from services.vector.text.words import STEM, paired

DENSE: Final = 0.25
"""Weight of the dense arm then. With the usual constant of 60 the first 180 points that words find stand before those
that vectors alone find; among them the vectors still have a say."""
_WORDS: Final = 500
_SECONDS: Final = 300.0
_COLLECTIONS: Final = 10_000


class Leaning:
    """Knows which scripts collections are written in, from a sample of their words that it takes now and then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._written: dict[str, tuple[list[str], float]] = {}

    async def reason(self, collection: Collection, model: EmbeddingModel, text: str) -> str:
        """Why the model's vectors say little about this question to this collection; empty: there is no reason."""
        if not model.latin_only:
            return ""
        if asked := scripts.foreign(text):
            return f"The question is in {_named(asked)} script, for which {model.name} was not made."
        if written := await self._scripts(collection):
            return (
                f"Most of the collection's words are in {_named(written)} script, for which {model.name} was not made."
            )
        return ""

    async def _scripts(self, collection: Collection) -> list[str]:
        kept = self._written.get(collection.incarnation)
        if kept is not None and kept[1] > time.monotonic():
            return kept[0]
        async with self._database.session() as session:
            sampled = await vocabulary.sample(session, collection, _WORDS)
        # Single characters stand beside their pairs, and words beside their stems.
        whole = [one for one in sampled if not one[0].startswith(STEM) and not (len(one[0]) == 1 and paired(one[0]))]
        found = scripts.prevailing(whole)
        if len(self._written) >= _COLLECTIONS:
            self._written.clear()
        self._written[collection.incarnation] = (found, time.monotonic() + _SECONDS)
        return found


def _named(found: list[str]) -> str:
    return " and ".join(found)
