"""Files on their way in: stored bit by bit as they arrive, and queued as a job."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import msgspec

from services.runtime.call import acting_as
from services.runtime.errors import CollectionNotFound, InvalidArgument, PayloadTooLarge, PergolaError, Violation
from services.vector.ingestion.documents import require_followed
from services.vector.model import Job, NewFile
from services.vector.stores import collections as collection_store
from services.vector.stores import jobs as job_store
from services.vector.stores import requests, uploads
from services.vector.stores.database.connections import Database
from services.vector.stores.database.listener import Hints
from services.vector.stores.requests import Request

_PART: Final = 1024 * 1024
"""Bytes a row: what an upload takes of this process's memory, about twice."""


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """What the caller says of a file; empty: nothing."""

    collection: str
    name: str
    title: str
    media_type: str
    metadata: dict[str, Any]
    wait_for: tuple[str, ...] = ()
    """Consumers of the change feed that the job waits for at its end."""


@dataclass(frozen=True, slots=True)
class _Received:
    size: int
    sha256: bytes


class Uploads:
    """The way in for files."""

    def __init__(self, database: Database, hints: Hints, *, most_bytes: int, keep_days: int) -> None:
        self._database = database
        self._hints = hints
        self._most_bytes = most_bytes
        self._keep_days = keep_days

    async def take(
        self, tenant: str, file: IncomingFile, data: AsyncIterator[bytes], request: Callable[[bytes], Request]
    ) -> Job:
        """Stores a file and queues the job that makes it searchable. `request` is told the file's SHA-256.

        Raises CollectionNotFound, NotFollowed, PayloadTooLarge, RequestIdReused, and InvalidArgument when there are no
        bytes.
        """
        upload_id = str(uuid4())
        accepted = False
        try:
            async with self._database.transaction(tenant) as session:
                # Before anything is sent in vain; it is looked at again when all has come.
                found = await collection_store.find(session, file.collection)
                if found is None:
                    raise _no_collection(file.collection)
                require_followed(found, file.wait_for)
                await uploads.begin(session, tenant, upload_id)
            received = await self._receive(tenant, upload_id, data)
            job, accepted = await self._accept(tenant, upload_id, file, received, request(received.sha256))
        finally:
            if not accepted:
                # A caller that goes away while the first transaction commits has begun an upload as well.
                await self._discard(tenant, upload_id)
        self._hints.send("queue", "")
        return job

    async def _receive(self, tenant: str, upload_id: str, data: AsyncIterator[bytes]) -> _Received:
        digest = hashlib.sha256()
        held = bytearray()
        size = part = 0
        async for piece in data:
            size += len(piece)
            if size > self._most_bytes:
                raise PayloadTooLarge(
                    f"The file has more than {self._most_bytes:,} bytes. Split it, or raise "
                    "PERGOLA_VECTOR_MAX_UPLOAD_BYTES."
                )
            digest.update(piece)
            held += piece
            if len(held) >= _PART:
                await self._add(tenant, upload_id, part, bytes(held))
                held.clear()
                part += 1
        if not size:
            raise InvalidArgument(
                "body: the file is empty.", violations=[Violation("body", "must hold the file's bytes")]
            )
        if held:
            await self._add(tenant, upload_id, part, bytes(held))
        return _Received(size, digest.digest())

    async def _add(self, tenant: str, upload_id: str, part: int, data: bytes) -> None:
        # A transaction a part: a slow caller holds no connection while nothing comes.
        async with self._database.transaction(tenant) as session:
            await uploads.add(session, tenant, upload_id, part, data)

    async def _accept(
        self, tenant: str, upload_id: str, file: IncomingFile, received: _Received, request: Request
    ) -> tuple[Job, bool]:
        """The job, and whether it is a new one that needs the bytes."""
        async with self._database.transaction(tenant) as session:
            first = await requests.begin(session, tenant, request)
            if first is not None:
                return msgspec.json.decode(first, type=Job), False
            found = await collection_store.hold(session, file.collection)
            if found is None:
                raise _no_collection(file.collection)
            require_followed(found, file.wait_for)
            job = job_store.NewJob(
                tenant=tenant, id=str(uuid4()), collection=found, wait_for=file.wait_for, keep_days=self._keep_days
            )
            new = NewFile(
                upload_id=upload_id,
                id=file.name,
                title=file.title,
                media_type=file.media_type,
                size=received.size,
                sha256=received.sha256,
                metadata=file.metadata,
            )
            queued = await job_store.accept_file(session, job, new)
            await requests.finish(session, tenant, request, msgspec.json.encode(queued))
        return queued, True

    async def _discard(self, tenant: str, upload_id: str) -> None:
        # In its own time: the call's may be over. What is left here goes a day later.
        with acting_as(tenant), suppress(PergolaError):
            async with self._database.transaction(tenant) as session:
                await uploads.discard(session, upload_id)


def _no_collection(name: str) -> CollectionNotFound:
    return CollectionNotFound(f"There is no collection {name!r}. Create it first.")
