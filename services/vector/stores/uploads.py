"""Uploaded files: their bytes, in parts, until the document is settled."""

from collections.abc import AsyncIterator
from uuid import UUID

from services.vector.stores.database.connections import Session

_PARTS_A_READ = 8


async def begin(session: Session, tenant: str, upload_id: str) -> None:
    """A new upload without bytes; clears some of the tenant's that were cut off a day ago."""
    await session.execute(
        "DELETE FROM pergola.uploads WHERE id IN (SELECT id FROM pergola.uploads WHERE tenant = $1 AND job_id IS NULL"
        " AND created < now() - interval '1 day' LIMIT 20 FOR UPDATE SKIP LOCKED)",
        tenant,
    )
    await session.execute("INSERT INTO pergola.uploads (id, tenant) VALUES ($1, $2)", UUID(upload_id), tenant)


async def add(session: Session, tenant: str, upload_id: str, part: int, data: bytes) -> None:
    """The next bytes, in parts counted from 0."""
    await session.execute(
        "INSERT INTO pergola.upload_parts (upload_id, part, tenant, data) VALUES ($1, $2, $3, $4)",
        UUID(upload_id),
        part,
        tenant,
        data,
    )


async def discard(session: Session, upload_id: str) -> None:
    """Removes an upload that no job was accepted for."""
    await session.execute("DELETE FROM pergola.uploads WHERE id = $1 AND job_id IS NULL", UUID(upload_id))


async def parts(session: Session, upload_id: UUID) -> AsyncIterator[bytes]:
    """The bytes in order, a few parts in memory at a time."""
    after = -1
    while True:
        rows = await session.fetch(
            "SELECT part, data FROM pergola.upload_parts WHERE upload_id = $1 AND part > $2 ORDER BY part LIMIT $3",
            upload_id,
            after,
            _PARTS_A_READ,
        )
        for row in rows:
            yield row["data"]
        if len(rows) < _PARTS_A_READ:
            return
        after = rows[-1]["part"]
