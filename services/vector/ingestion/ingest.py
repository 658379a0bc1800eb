"""The steps of an ingestion: some documents from text to searchable points, in one transaction at the end of each."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from services.providers.embedding.model import EmbeddingModel
from services.runtime.errors import DimensionMismatch
from services.runtime.overlap import overlapped
from services.vector.embedding import Embedder
from services.vector.ingestion.cutting import Cutter, Cutting
from services.vector.ingestion.files import Files
from services.vector.meters import Meters
from services.vector.model import Chunking, Collection, Neighbors, Note
from services.vector.parsing.model import Parsed, ParseFailed
from services.vector.stores import documents as document_store
from services.vector.stores import queue
from services.vector.stores.database.connections import Database
from services.vector.stores.documents import Unchanged
from services.vector.stores.points import writing as points
from services.vector.stores.points.writing import Sums, Write
from services.vector.stores.queue import Claim, Item, Step
from services.vector.text import scripts

_DOCUMENTS_A_STEP: Final = 32
_BYTES_A_STEP: Final = 64 * 1024
"""Of text: about what the built-in model embeds in ten seconds. A larger document is a step of its own."""
_TEXTS_A_CALL: Final = 256
_EMBEDDED_AT_ONCE: Final = 2
"""Steps: while one waits for the cache, the other keeps the model busy. Bounds what a job takes of the memory."""


@dataclass(slots=True)
class Prepared:
    """A document that was cut and embedded."""

    item: Item
    hash: bytes
    writes: list[Write]


@dataclass(slots=True)
class Batch:
    """What one step found out about its documents."""

    step: Step
    ready: list[Prepared] = field(default_factory=list)
    unchanged: list[Unchanged] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def fail(self, item: Item, reason: str, message: str) -> None:
        """This document alone."""
        self.step.failed += 1
        self.step.failures.append(item.position)
        self.notes.append(
            Note(kind="failure", document=item.document_id, reason=reason, message=message, position=item.position)
        )


class Ingestion:
    """The work of the jobs of kind `ingest`."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder,
        files: Files,
        meters: Meters,
        chunking: Chunking,
        neighbors: Neighbors,
    ) -> None:
        """`chunking`, `neighbors`: of collections that say nothing of them."""
        self._database = database
        self._files = files
        self._meters = meters
        self._embedder = embedder
        self._chunking = chunking
        self._neighbors = neighbors

    async def steps(self, held: Claim, collection: Collection) -> AsyncGenerator[int, None]:
        """Ingests the documents that are left; yields the checkpoint after each step, when its points are durable.

        Raises Fenced, and what embedding raises: what was not stored yet can be tried again.
        """
        model = self._embedder.model(collection.embedding_model)
        if model.dimension != collection.dimension:
            raise DimensionMismatch(
                f"{model.name} makes vectors of {model.dimension} numbers, the collection holds "
                f"{collection.dimension}: documents can't be ingested into it."
            )
        cutting = Cutting(self._chunking.of(collection), collection.neighbors or self._neighbors)
        # Where a worker was lost, one document is in hand at a time.
        at_once = 1 if held.position < held.careful_until else _EMBEDDED_AT_ONCE

        async def embedded(batch: Batch) -> Batch:
            await self._embed(batch, model)
            return batch

        async def read_ones() -> AsyncGenerator[Batch, None]:
            position = held.position
            while position < held.total:
                batch = await self._read(held, collection, position, cutting, model)
                yield batch
                position = batch.step.position

        async with aclosing(overlapped(read_ones(), embedded, at_once)) as batches:
            position = held.position
            async for found in batches:
                batch = found
                while not await self._store(held, collection, batch):
                    batch = await embedded(await self._read(held, collection, position, cutting, model))
                position = batch.step.position
                self._meters.chunks += batch.step.chunks
                yield position

    async def _read(
        self, held: Claim, collection: Collection, position: int, cutting: Cutting, model: EmbeddingModel
    ) -> Batch:
        """The next documents from `position` on, cut."""
        cutter = Cutter(model, cutting, collection.language)
        async with self._database.transaction(held.tenant) as session:
            items = await queue.items(session, held, position, _DOCUMENTS_A_STEP, _BYTES_A_STEP)
            known = await document_store.known(session, collection, [item.document_id for item in items])
        # Without items the texts behind the checkpoint are missing, which the end of the job does not mend.
        batch = Batch(Step(items[-1].position + 1 if items else held.total))
        # The same document twice in a step: the later one counts, as if the job had done one after the other.
        last = {item.document_id: item for item in items}
        for item in items:
            digest = cutter.digest(item)
            before = known.get(item.document_id)
            if last[item.document_id] is not item or (before is not None and before.accepted > item.accepted):
                batch.step.unchanged += 1
            elif before is not None and before.hash == digest:
                batch.step.unchanged += 1
                batch.unchanged.append(Unchanged(item, digest))
            else:
                await self._prepare(batch, collection, item, digest, cutter, model)
        return batch

    async def _prepare(
        self, batch: Batch, collection: Collection, item: Item, digest: bytes, cutter: Cutter, model: EmbeddingModel
    ) -> None:
        parsed: Parsed | None = None
        try:
            if item.file is not None:
                read = await self._files.read(collection.tenant, item, item.file)
                item, parsed = read.item, read.parsed
                batch.notes.extend(_told(item, parsed))
            elif item.format == "markdown" and not item.text.isspace():
                parsed = await self._files.markdown(item.text)
        except ParseFailed as failed:
            batch.fail(item, failed.reason, failed.message)
            return
        writes = await asyncio.to_thread(cutter.cut, item, parsed)
        if not writes:
            batch.fail(item, "DOCUMENT_EMPTY", "The text holds nothing but white space.")
            return
        batch.ready.append(Prepared(item, digest, writes))
        if model.latin_only:
            batch.notes.extend(_warning(item, script, model) for script in scripts.foreign(item.text))

    async def _embed(self, batch: Batch, model: EmbeddingModel) -> None:
        pending = [write for prepared in batch.ready for write in prepared.writes]
        for first in range(0, len(pending), _TEXTS_A_CALL):
            part = pending[first : first + _TEXTS_A_CALL]
            embedded = await self._embedder.embed(model, [write.text for write in part])
            for write, vector in zip(part, embedded.vectors, strict=True):
                write.vector = vector

    async def _store(self, held: Claim, collection: Collection, batch: Batch) -> bool:
        """Stores a step and moves the checkpoint. False: a document that was taken for unchanged is another by now."""
        async with self._database.transaction(held.tenant) as session:
            await queue.lock(session, held)
            # Since it was read, the step before, or another job, may have stored something else.
            if batch.unchanged and await document_store.touch(session, collection, batch.unchanged):
                return False
            sums = Sums()
            if batch.ready:
                written, sums.documents = await document_store.write(
                    session,
                    collection,
                    [document_store.Settled(one.item, one.hash, len(one.writes)) for one in batch.ready],
                )
                writes = [one for prepared in batch.ready if prepared.item.document_id in written
                          for one in prepared.writes]  # fmt: skip
                await points.delete_of_documents(
                    session, collection, sorted(written), sums, taken=[one.point.id for one in writes]
                )
                await points.insert(session, collection, writes, sums)
                batch.step.chunks = len(writes)
                batch.step.done += len(written)
                # Another job, accepted later, was faster.
                batch.step.unchanged += len(batch.ready) - len(written)
            batch.step.done += batch.step.unchanged
            await queue.checkpoint(session, held, batch.step, batch.notes)
            if sums.upserted or sums.deleted:
                await points.publish(session, collection, sums)
        return True


def _told(item: Item, parsed: Parsed) -> list[Note]:
    return [
        Note(kind="warning", document=item.document_id, reason=one.code, message=f"{item.document_id!r}: {one.message}")
        for one in parsed.warnings
    ]


def _warning(item: Item, script: str, model: EmbeddingModel) -> Note:
    return Note(
        kind="warning",
        document=item.document_id,
        reason=f"SCRIPT_{script.upper()}",
        message=f"{script} text, for example in {item.document_id!r}: {model.name} was made for English, so its "
        "vectors say little here and hybrid search lives by its lexical arm. For better ones set "
        "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_URL, _MODEL and _DIMENSION to a multilingual model and name that model "
        "when you create the collection.",
    )
