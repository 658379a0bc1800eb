"""Documents that are searchable: read, listed, deleted. Their way in is in ingestion/."""

from collections.abc import Sequence

from services.runtime.errors import CollectionNotFound, DocumentNotFound
from services.vector.model import Collection, StoredDocument
from services.vector.stores import collections as collection_store
from services.vector.stores import documents as store
from services.vector.stores.database.connections import Database, Session
from services.vector.stores.database.listener import Hints
from services.vector.stores.points import writing as points
from services.vector.stores.points.writing import Sums


class StoredDocuments:
    """The tenant's documents."""

    def __init__(self, database: Database, hints: Hints, keep_days: int) -> None:
        """`keep_days`: how long ended jobs, and with them what failed, are kept."""
        self._database = database
        self._keep_days = keep_days
        self._hints = hints

    async def get(self, tenant: str, collection: str, document: str, start: int, limit: int) -> StoredDocument:
        """A document with `limit` code points of its text from `start` on.

        Raises CollectionNotFound, DocumentNotFound.
        """
        async with self._database.transaction(tenant) as session:
            found = await store.get(session, await _held(session, collection), document, start, limit)
        if found is None:
            raise _unknown(document)
        return found

    async def page(self, tenant: str, collection: str, after: str, size: int) -> tuple[Sequence[StoredDocument], bool]:
        """Documents behind the id `after`, at most `size`, and whether there are more.

        Raises CollectionNotFound.
        """
        async with self._database.transaction(tenant) as session:
            found = await store.page(session, await _held(session, collection), after, size + 1)
        return found[:size], len(found) > size

    async def delete(self, tenant: str, collection: str, document: str) -> int:
        """Deletes a document with all its points; returns how many they were.

        Raises CollectionNotFound, DocumentNotFound.
        """
        async with self._database.transaction(tenant) as session:
            held = await _held(session, collection)
            # The document's row first, as workers do: whoever writes it now waits, and then finds the mark.
            if not await store.remove(session, held, document, self._keep_days):
                raise _unknown(document)
            sums = Sums(documents=-1)
            await points.delete_of_documents(session, held, [document], sums)
            await points.publish(session, held, sums)
        self._hints.send("change", str(held.id))
        return -sums.points


async def _held(session: Session, collection: str) -> Collection:
    found = await collection_store.hold(session, collection)
    if found is None:
        raise CollectionNotFound(f"There is no collection {collection!r}. Create it, or list those there are.")
    return found


def _unknown(document: str) -> DocumentNotFound:
    return DocumentNotFound(f"The collection has no document {document!r}. ListDocuments names those there are.")
