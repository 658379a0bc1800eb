"""What edits do inside their transaction, with the locks in the order that all writers keep."""

from collections.abc import Sequence

from services.vector.filters.tree import Filter
from services.vector.model import Collection
from services.vector.points.model import Failure, PayloadEdit
from services.vector.stores.database.connections import Session
from services.vector.stores.points import editing, writing
from services.vector.stores.points.writing import Sums, Write


async def edit(
    collection: Collection, ids: Sequence[str], only: Filter | None, what: PayloadEdit, session: Session, sums: Sums
) -> set[str]:
    """Changes the payloads of those points that exist, and fit `only`; returns their ids."""
    there = set(await editing.lock(session, collection, ids))
    if only is not None:
        # Looked at again now that they are locked: they may have been changed since they were found.
        there &= await editing.fitting(session, collection, ids, only)
    if what.overwrite:
        changed = await editing.overwrite_payload(session, collection, list(there), what.merged)
    else:
        changed = await editing.set_payload(session, collection, list(there), what.merged, what.without)
    sums.upserted.extend(changed)
    return there


async def delete(collection: Collection, ids: Sequence[str], only: Filter | None, session: Session, sums: Sums) -> int:
    """Removes the points of these ids, or those of them that fit `only`; returns how many there were."""
    await editing.disturb_documents(session, collection, ids)
    await editing.lock(session, collection, ids)
    await editing.delete(session, collection, ids, sums, only)
    return len(sums.deleted)


async def store(collection: Collection, writes: Sequence[Write], session: Session, sums: Sums) -> list[Failure]:
    """Stores points in the place of those with the same ids; those of documents stay, and are told by their places."""
    there = await editing.lock(session, collection, [one.point.id for one in writes])
    failures = [
        Failure(
            place,
            one.point.id,
            "POINT_OF_DOCUMENT",
            "The id is that of a point of a document. Take another id, or ingest the document again.",
        )
        for place, one in enumerate(writes)
        if there.get(one.point.id) is not None
    ]
    held = {one.id for one in failures}
    # In the order of ids, as all writers do: two that make the same new points wait for each other in one direction.
    free = sorted((one for one in writes if one.point.id not in held), key=lambda one: one.point.id)
    await editing.delete(session, collection, [one.point.id for one in free if one.point.id in there], sums)
    await writing.insert(session, collection, free, sums)
    return failures
