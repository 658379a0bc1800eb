"""Documents on their way in: defaults filled in, stored, and queued as a job."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import msgspec

from services.runtime.errors import CollectionExists, CollectionNotFound, NotFollowed
from services.vector.collections import Collections, Spec
from services.vector.model import Collection, Format, Job, NewDocument
from services.vector.stores import collections as collection_store
from services.vector.stores import jobs as job_store
from services.vector.stores import requests
from services.vector.stores.database.connections import Database
from services.vector.stores.database.listener import Hints
from services.vector.stores.requests import Request
from services.vector.text import markdown

_TITLE: Final = 80
_SEARCHED: Final = 4_000
"""Characters at the start of a text in which its first heading is looked for."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A document as its caller gave it; empty: not given."""

    text: str
    id: str
    title: str
    format: Format | None
    metadata: dict[str, Any]


class Documents:
    """The way in."""

    def __init__(self, database: Database, hints: Hints, collections: Collections, keep_days: int) -> None:
        self._database = database
        self._hints = hints
        self._collections = collections
        self._keep_days = keep_days

    async def ingest(
        self, tenant: str, collection: str, documents: Sequence[Incoming], request: Request, wait_for: Sequence[str]
    ) -> Job:
        """Stores the documents' texts and queues the job that makes them searchable.

        `wait_for`: consumers of the change feed that the job waits for at its end.
        Raises CollectionNotFound, NotFollowed, RequestIdReused.
        """
        # Titles are looked for in the texts: not on the event loop, there may be a thousand.
        filled = await asyncio.to_thread(lambda: [fill(one) for one in documents])
        async with self._database.transaction(tenant) as session:
            first = await requests.begin(session, tenant, request)
            if first is not None:
                return msgspec.json.decode(first, type=Job)
            found = await collection_store.hold(session, collection)
            if found is None:
                raise CollectionNotFound(f"There is no collection {collection!r}. Create it, or use BuildIndex.")
            require_followed(found, wait_for)
            new = job_store.NewJob(
                tenant=tenant, id=str(uuid4()), collection=found, wait_for=wait_for, keep_days=self._keep_days
            )
            job = await job_store.accept(session, new, filled)
            await requests.finish(session, tenant, request, msgspec.json.encode(job))
        self._hints.send("queue", "")
        return job

    async def build(
        self, tenant: str, collection: str, texts: Sequence[str], request: Request, wait_for: Sequence[str]
    ) -> Job:
        """The same for bare texts, into a collection that is made when it is missing.

        Raises NotFollowed, RequestIdReused.
        """
        documents = [Incoming(text=text, id="", title="", format=None, metadata={}) for text in texts]
        try:
            return await self.ingest(tenant, collection, documents, request, wait_for)
        except CollectionNotFound:
            pass
        try:
            await self._collections.create(tenant, Spec(collection, graph=True), Request("", "", b""))
        except CollectionExists:
            # Somebody else was as fast.
            pass
        return await self.ingest(tenant, collection, documents, request, wait_for)


def require_followed(collection: Collection, wait_for: Sequence[str]) -> None:
    """Raises NotFollowed when a consumer is to be waited for that never comes."""
    if wait_for and not collection.graph:
        raise NotFollowed(
            f"`wait_for`: nobody follows the collection {collection.name!r}. Create it with `graph: true`, or don't "
            "wait."
        )


def fill(document: Incoming) -> NewDocument:
    """The document with every default filled in."""
    # From the content, so that the same text is the same document.
    made = document.id or hashlib.sha256(document.text.encode()).hexdigest()[:32]
    form = document.format or _format(document.id)
    title = document.title or (_heading(document.text) if form == "markdown" else "")
    return NewDocument(
        id=made,
        title=title or document.id or _first_words(document.text),
        format=form,
        text=document.text,
        metadata=document.metadata,
    )


def _format(name: str) -> Format:
    return "markdown" if name.lower().endswith((".md", ".markdown")) else "text"


def _heading(text: str) -> str:
    headings = (block.title for block in markdown.blocks(text[:_SEARCHED]) if block.heading)
    return next((title[:512] for title in headings if title), "")


def _first_words(text: str) -> str:
    words = " ".join(text[: _TITLE * 4].split())
    if len(words) <= _TITLE:
        return words
    return words[: _TITLE - 1].rpartition(" ")[0].rstrip() + "…" if " " in words[:_TITLE] else words[: _TITLE - 1] + "…"
