"""Kills parts of the vector service under write load, and looks whether everything it said is true afterwards.

    make chaos-vector N=1000 SEED=7

runs as many rounds as asked for, the tests run ten. What a seed decides is what is written and what is killed when;
how far the service is at that moment is the machine's.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc

from pergola.vector.v1 import document_pb2, job_pb2, point_pb2
from tests.fault.vector.house import House, Part, house
from tests.fault.vector.load import Documents, Follower, Points, Tally, ended, until_answered
from tests.support.vector import Vector

_WRITERS = 3
_TARGETS: tuple[tuple[Part, ...], ...] = (
    ("service",),
    ("worker",),
    ("postgres",),
    ("service", "postgres"),
    ("worker", "postgres"),
)
_AFTERWARDS_SECONDS = 0.3
"""How long the load goes on when everything was killed that a round kills."""
_SETTLED_SECONDS = 120.0


@dataclass
class Report:
    """What happened, for people."""

    rounds: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    jobs: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    changes: int = 0

    def __str__(self) -> str:
        kills = ", ".join(f"{part} {count}" for part, count in sorted(self.kills.items()))
        jobs = ", ".join(f"{count} {status}" for status, count in sorted(self.jobs.items()))
        return (
            f"{self.rounds} rounds; killed: {kills}; {self.acknowledged:,} writes acknowledged; jobs: {jobs}, "
            f"{self.retried} retried; {self.changes:,} changes followed"
        )


class Chaos:
    """One collection, written and followed through all rounds."""

    def __init__(self, parts: House, vector: Vector, collection: str, seed: int) -> None:
        self._house = parts
        self._vector = vector
        self._collection = collection
        self._dice = random.Random(seed)
        self._tally = Tally()
        self._points = [Points(vector, collection, n, self._child(), self._tally) for n in range(_WRITERS)]
        self._documents = Documents(vector, collection, self._child())
        self._follower = Follower(vector, collection, self._child())
        self.report = Report()

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """The follower runs through all rounds; what it finds wrong is raised at the end of the block at the latest."""
        following = asyncio.create_task(self._follower.run())
        try:
            yield
        finally:
            if not following.done():
                following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            if not following.cancelled():
                following.result()

    async def round(self) -> None:
        """Load, a kill or two at random moments, and everything that must hold then.

        Raises AssertionError.
        """
        stopping = asyncio.Event()
        tasks = [asyncio.create_task(writer.run()) for writer in self._points]
        documents = asyncio.create_task(self._documents.run(stopping))
        try:
            await self._break()
        finally:
            stopping.set()
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        odd = [end for end in ends if not isinstance(end, asyncio.CancelledError)]
        assert not odd, f"writers were answered what no caller should be: {odd}"
        await documents
        async with asyncio.timeout(_SETTLED_SECONDS):
            await self._jobs_end()
            await self._check()
        self.report.rounds += 1

    async def _break(self) -> None:
        targets = self._dice.choice(_TARGETS)

        # By what was written, and not by the clock alone: a slow machine would be killed before it had begun.
        await self._tally.reached(self._tally.count + self._dice.randint(1, 60))
        for part in targets:
            await asyncio.sleep(self._dice.uniform(0, 0.1))
            await self._house.kill(part)
            self.report.kills[part] += 1
        await asyncio.sleep(_AFTERWARDS_SECONDS)

    async def _jobs_end(self) -> None:
        """Every job ends; what failed, because workers were lost with it, is tried again until nothing is left."""
        jobs, self._documents.jobs = self._documents.jobs, []
        while jobs:
            last = await asyncio.gather(*(ended(self._vector, job) for job in jobs))
            jobs = []
            for job in last:
                self.report.jobs[job.status] += 1
                assert {one.reason for one in job.failures} <= {"WORKER_LOST"}, job
                if job.status == "failed" or job.failures:
                    request = job_pb2.RetryJobRequest(id=job.id, request_id=job.id)
                    reply = await until_answered(partial(self._vector.jobs.RetryJob, request, timeout=5))
                    jobs.append(reply.job.id)
                    self.report.retried += 1

    async def _check(self) -> None:
        stored: list[point_pb2.Point] = await until_answered(self._scroll)
        own = {one.id: int(one.payload.fields["value"].number_value) for one in stored if not one.HasField("chunk")}
        for writer in self._points:
            for point, possible in writer.possible.items():
                assert own.get(point) in possible, f"{point} is {own.get(point)}, and must be one of {possible}"
                # It is settled now.
                writer.possible[point] = {own.get(point)}
        known = {point for writer in self._points for point in writer.possible}
        assert own.keys() <= known

        chunks: dict[str, list[point_pb2.Chunk]] = defaultdict(list)
        for one in stored:
            if one.HasField("chunk"):
                chunks[one.chunk.document].append(one.chunk)
        assert chunks.keys() == self._documents.texts.keys()
        for document, text in self._documents.texts.items():
            found = sorted(chunks[document], key=lambda chunk: chunk.index)
            assert [one.index for one in found] == list(range(len(found))), (
                f"{document} has a chunk twice, or lacks one"
            )
            assert all(text[one.start : one.end] == one.text for one in found), (
                f"{document} has chunks of another state"
            )
            request = document_pb2.GetDocumentRequest(collection=self._collection, id=document, text_limit=1_000_000)
            reply = await until_answered(partial(self._vector.documents.GetDocument, request, timeout=5))
            assert (reply.document.text, reply.document.chunk_count) == (text, len(found))

        counted = await until_answered(lambda: self._vector.get(self._collection))
        assert (counted.point_count, counted.document_count) == (len(stored), len(chunks))
        await self._followed(own | {one.id: 0 for one in stored if one.HasField("chunk")})
        self.report.acknowledged = self._tally.count
        self.report.changes = self._follower.seq

    async def _followed(self, expected: dict[str, int]) -> None:
        """The follower has come to what is stored, by changes alone; and nothing comes behind that."""
        while self._follower.values != expected:
            self._follower.moved.clear()
            await self._follower.moved.wait()

    async def _scroll(self) -> list[point_pb2.Point]:
        request = point_pb2.ScrollPointsRequest(collection=self._collection)
        return [
            point async for reply in self._vector.points.ScrollPoints(request, timeout=30) for point in reply.points
        ]

    def _child(self) -> random.Random:
        return random.Random(self._dice.getrandbits(64))


async def run(folder: Path, rounds: int, seed: int, told: Callable[[str], None] = lambda _: None) -> Report:
    """So many rounds. Raises AssertionError when something that was said turns out not to be true."""
    async with house(folder) as parts, grpc.aio.insecure_channel(parts.address) as channel:
        vector = Vector(channel)
        collection = await vector.create("chaos")
        chaos = Chaos(parts, vector, collection, seed)
        async with chaos.following():
            for number in range(1, rounds + 1):
                began = time.monotonic()
                await chaos.round()
                told(f"round {number}: {time.monotonic() - began:.1f} s; {chaos.report}")
        return chaos.report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fault.vector", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="pergola-chaos-"))
    try:
        report = asyncio.run(run(folder, options.rounds, seed, lambda text: print(text, flush=True)))
    except BaseException:
        print(f"the logs are in {folder}", flush=True)
        raise
    shutil.rmtree(folder)
    print(f"nothing lost, nothing twice: {report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
