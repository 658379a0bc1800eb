"""Answers of calls that carry a request id: the same call again within 24 hours gets the same answer."""

from dataclasses import dataclass

from services.runtime.errors import RequestIdReused
from services.vector.stores.database.connections import Session


@dataclass(frozen=True, slots=True)
class Request:
    """A call that may be repeated. `id` empty: the caller asked for no such thing."""

    method: str
    id: str
    body_hash: bytes


async def begin(session: Session, tenant: str, request: Request) -> bytes | None:
    """Claims the request id in the current transaction, or returns the answer that the first call got.

    A second call at the same time waits here until the first one has committed or failed.
    Raises RequestIdReused when the id belongs to another body.
    """
    if not request.id:
        return None
    # Each call clears a few of its tenant's old ones, so that nobody has to go through all of them.
    await session.execute(
        "DELETE FROM pergola.requests WHERE (tenant, method, request_id) IN (SELECT tenant, method, request_id"
        " FROM pergola.requests WHERE tenant = $1 AND created < now() - interval '24 hours' LIMIT 100"
        " FOR UPDATE SKIP LOCKED)",
        tenant,
    )
    claimed = await session.value(
        "INSERT INTO pergola.requests AS r (tenant, method, request_id, body_hash) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (tenant, method, request_id) DO UPDATE"
        " SET body_hash = EXCLUDED.body_hash, answer = NULL, created = now()"
        " WHERE r.created < now() - interval '24 hours' RETURNING true",
        tenant,
        request.method,
        request.id,
        request.body_hash,
    )
    if claimed:
        return None
    row = await session.row(
        "SELECT body_hash, answer FROM pergola.requests WHERE tenant = $1 AND method = $2 AND request_id = $3",
        tenant,
        request.method,
        request.id,
    )
    if row is None or row["body_hash"] != request.body_hash:
        raise RequestIdReused(
            f"The request id {request.id!r} was used for another request within the last 24 hours. Take a new one."
        )
    answer: bytes = row["answer"]
    return answer


async def finish(session: Session, tenant: str, request: Request, answer: bytes) -> None:
    """Keeps the answer, in the transaction that made it true."""
    if request.id:
        await session.execute(
            "UPDATE pergola.requests SET answer = $4 WHERE tenant = $1 AND method = $2 AND request_id = $3",
            tenant,
            request.method,
            request.id,
            answer,
        )
