"""Writers that remember what was acknowledged, and a follower that looks at every change."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc

from pergola.vector.v1 import change_pb2, document_pb2, job_pb2, point_pb2, selection_pb2
from tests.support.vector import Vector

_PAUSE = 0.05
CONSUMER = "chaos"

# What a call is answered with while a part is away; anything else is a fault that is found.
_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
}


async def until_answered(call: Callable[[], Awaitable[Any]]) -> Any:
    """Repeats a call that may be repeated until it is answered."""
    while True:
        try:
            return await call()
        except grpc.RpcError as error:
            if error.code() not in _PASSING:
                raise
            await asyncio.sleep(_PAUSE)


class Tally:
    """Counts what was acknowledged, and tells whoever waits for a number."""

    def __init__(self) -> None:
        self.count = 0
        self._moved = asyncio.Event()

    def add(self) -> None:
        self.count += 1
        self._moved.set()

    async def reached(self, count: int) -> None:
        while self.count < count:
            self._moved.clear()
            await self._moved.wait()


@dataclass
class Points:
    """One writer of points: it alone writes its ids, so it knows what must be there."""

    vector: Vector
    collection: str
    number: int
    dice: random.Random
    tally: Tally
    possible: dict[str, set[int | None]] = field(default_factory=dict)
    """By id what may be stored, None: nothing. One value once it was acknowledged; more after a call that broke."""

    async def run(self) -> None:
        version = 0
        while True:
            version += 1
            ids = [f"w{self.number}-{n}" for n in self.dice.sample(range(40), self.dice.randint(1, 12))]
            value = None if self.dice.random() < 0.25 else version
            for one in ids:
                self.possible[one] = self.possible.get(one, {None}) | {value}
            try:
                await self._write(ids, value)
            except grpc.RpcError as error:
                if error.code() not in _PASSING:
                    raise
                # It may have happened.
                await asyncio.sleep(_PAUSE)
            else:
                self.tally.add()
                for one in ids:
                    self.possible[one] = {value}
            await asyncio.sleep(self.dice.random() * 0.02)

    async def _write(self, ids: list[str], value: int | None) -> None:
        if value is None:
            gone = selection_pb2.DeletePointsRequest(collection=self.collection, ids=ids)
            await self.vector.points.DeletePoints(gone, timeout=5)
            return
        points = []
        for one in ids:
            point = point_pb2.NewPoint(id=one, text=f"Point {one} in its state {value}.")
            point.payload.update({"value": value})
            points.append(point)
        await self.vector.points.UpsertPoints(
            point_pb2.UpsertPointsRequest(collection=self.collection, points=points), timeout=5
        )


@dataclass
class Documents:
    """The writer of documents: each call is repeated with its request id until it is answered, so it happens once."""

    vector: Vector
    collection: str
    dice: random.Random
    texts: dict[str, str] = field(default_factory=dict)
    """By id the text that was accepted last."""
    jobs: list[str] = field(default_factory=list)
    version: int = 0

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            self.version += 1
            chosen = self.dice.sample(range(24), self.dice.randint(1, 8))
            texts = {f"d{n}": f"State {self.version} of document {n}. " * self.dice.randint(1, 60) for n in chosen}
            request = document_pb2.IngestDocumentsRequest(
                collection=self.collection,
                documents=[document_pb2.Document(id=one, text=text) for one, text in texts.items()],
                request_id=uuid.UUID(int=self.dice.getrandbits(128)).hex,
            )
            reply = await until_answered(partial(self.vector.documents.IngestDocuments, request, timeout=5))
            self.jobs.append(reply.job.id)
            self.texts |= texts
            await asyncio.sleep(self.dice.uniform(0.1, 0.3))


@dataclass
class Follower:
    """Applies every change once, in order, over streams that break; raises AssertionError at a gap or a double."""

    vector: Vector
    collection: str
    dice: random.Random
    seq: int = 0
    values: dict[str, int] = field(default_factory=dict)
    """By point: the `value` of its payload; 0 for passages."""
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        cursor: change_pb2.ChangeCursor | None = None
        while True:
            call = self.vector.watch(self.collection, CONSUMER, after=cursor)
            try:
                async for event in call:
                    assert not event.HasField("reset"), "a reset, though nothing was compacted"
                    if event.HasField("changes"):
                        self._apply(event.changes)
                        cursor = event.changes.cursor
                        self.moved.set()
                    if self.dice.random() < 0.05:
                        break
                await self._acknowledge(cursor)
            except grpc.RpcError as error:
                if error.code() not in _PASSING:
                    raise
                await asyncio.sleep(_PAUSE)
            finally:
                call.cancel()

    async def _acknowledge(self, cursor: change_pb2.ChangeCursor | None) -> None:
        if cursor is not None:
            request = change_pb2.AckChangesRequest(collection=self.collection, consumer=CONSUMER, cursor=cursor)
            await self.vector.changes.AckChanges(request, timeout=5)

    def _apply(self, changes: change_pb2.Changes) -> None:
        for change in changes.items:
            assert change.seq == self.seq + 1, f"change {change.seq} came behind {self.seq}"
            self.seq = change.seq
            if change.WhichOneof("change") == "delete":
                self.values.pop(change.delete, None)
            else:
                self.values[change.upsert.id] = int(change.upsert.payload.fields["value"].number_value)


async def ended(vector: Vector, job: str) -> job_pb2.Job:
    """The job at its end, by watching it over streams that break."""
    cursor = 0
    while True:
        call = vector.jobs.WatchJob(job_pb2.WatchJobRequest(id=job, after=cursor), timeout=60)
        try:
            async for event in call:
                if event.HasField("job"):
                    assert event.job.cursor == cursor + 1, "an event of the job is missing, or came twice"
                    cursor = event.job.cursor
                    if event.job.job.status in ("completed", "failed", "cancelled"):
                        last: job_pb2.Job = event.job.job
                        return last
        except grpc.RpcError as error:
            if error.code() not in _PASSING:
                raise
            await asyncio.sleep(_PAUSE)
        finally:
            call.cancel()
