"""Indexes kept in files: after a start from one, and what changed since, Retrieve answers as one built anew."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import grpc
import pytest
import pytest_asyncio

from pergola.vector.v1 import document_pb2, point_pb2
from services.graph.indexes.snapshots import keeping
from services.graph.model import Evidence, NewEntity
from tests import bounds
from tests.stacks import Stores
from tests.support import graph
from tests.support.fake_embeddings import DIMENSION, fake_embeddings
from tests.support.graph import GraphDoor, VectorDoor

GRAPH_STORES: Final = ("arcadedb",)
"""Files know no store; what callers said by hand is read by the same statements on both."""

_PEOPLE: Final = ["Ada Lovelace", "Alan Turing", "Grace Hopper", "Karl Weierstrass", "Sofia Kovalevskaya"]
_PLACES: Final = ["Ockham Park", "Bletchley", "New York", "Berlin", "Kraków"]
_QUESTIONS: Final = [
    "What lies in the place where Ada Lovelace worked?",
    "who lived in berlin and met alan turing",
    "Which machine stands in Bletchley?",
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vector(stores: Stores) -> AsyncIterator[VectorDoor]:
    """With an embedding model that costs nothing."""
    async with fake_embeddings() as fake:
        environ = await stores.own_database("vector") | {
            "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_URL": fake.url,
            "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_MODEL": "fake",
            "PERGOLA_VECTOR_EMBEDDING_ENDPOINT_DIMENSION": str(DIMENSION),
            "PERGOLA_VECTOR_EMBEDDING_MODEL": "fake",
        }
        async with graph.vector_service(stores, environ) as running:
            yield running


@asynccontextmanager
async def _collections(vector: VectorDoor, *names: str) -> AsyncIterator[None]:
    """Made, and deleted at the end: what a name is, is judged over all collections of an index."""
    for name in names:
        await vector.create(name)
    try:
        yield
    finally:
        for name in names:
            with suppress(grpc.aio.AioRpcError):
                await vector.delete(name)


def _kept(folder: Path, **more: Any) -> dict[str, Any]:
    """Settings of a service that keeps its indexes there and tells how it came by them."""
    return {"index_dir": folder, "metrics_listen": "127.0.0.1:0", **more}


def _documents(draw: random.Random, count: int) -> dict[str, str]:
    return {
        f"{draw.choice(_PLACES)} {number}": (
            f"{draw.choice(_PEOPLE)} worked in {draw.choice(_PLACES)} with {draw.choice(_PEOPLE)}. "
            f"In {draw.choice(_PLACES)} stands a machine."
        )
        for number in draw.sample(range(30), count)
    }


class _Changes:
    """Seeded changes of one collection."""

    def __init__(self, vector: VectorDoor, name: str, seed: int) -> None:
        self.name = name
        self._vector = vector
        self._draw = random.Random(seed)
        self._held: set[str] = set()

    async def make(self, count: int) -> None:
        for _ in range(count):
            step = self._draw.random()
            if step < 0.5 or not self._held:
                documents = _documents(self._draw, self._draw.randint(1, 6))
                await self._vector.ingest(self.name, documents)
                self._held |= documents.keys()
            elif step < 0.8:
                for gone in self._draw.sample(sorted(self._held), min(len(self._held), 3)):
                    request = document_pb2.DeleteDocumentRequest(collection=self.name, id=gone)
                    await self._vector.documents.DeleteDocument(request)
                    self._held.discard(gone)
            else:
                texts = _documents(self._draw, 2).values()
                points = [point_pb2.NewPoint(id=f"p{n}", text=text) for n, text in enumerate(texts)]
                await self._vector.points.UpsertPoints(
                    point_pb2.UpsertPointsRequest(collection=self.name, points=points)
                )


async def _everything(door: GraphDoor, collection: str) -> list[Any]:
    """What each question finds, when the index has all there is: ids, scores to two digits, paths and spans."""
    found = []
    for question in _QUESTIONS:
        async with asyncio.timeout(bounds.RECOVERY):
            while (answer := await door.retrieve(question, [collection], k=40)).degraded:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        found.append(
            [
                (one.id, round(one.score, 2), [(step.kind, step.id, str(step.spans)) for step in one.path])
                for one in answer.passages
            ]
        )
    return found


async def _anew(stores: Stores, vector: VectorDoor, collection: str) -> list[Any]:
    async with graph.graph_service(stores, vector.address, follow="false") as fresh:
        return await _everything(fresh, collection)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_started_from_a_file_it_answers_as_one_built_anew(
    stores: Stores, vector: VectorDoor, tmp_path: Path, seed: int
) -> None:
    changes = _Changes(vector, f"kept-{seed}", seed)
    async with _collections(vector, changes.name):
        for turn in range(3):
            async with graph.graph_service(stores, vector.address, **_kept(tmp_path)) as door:
                # What came while nobody was there, then what comes now.
                assert await _everything(door, changes.name) == await _anew(stores, vector, changes.name)
                assert await _read_whole(door) == (turn == 0)
                await changes.make(3)
                await vector.caught_up(changes.name)
                assert await _everything(door, changes.name) == await _anew(stores, vector, changes.name)
            await changes.make(4)


async def test_files_written_while_it_changes_serve_as_well(
    stores: Stores, vector: VectorDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whenever it looks, in the middle of whatever is going on.
    for name in ("_QUIET", "_LEAST", "_SHARE"):
        monkeypatch.setattr(keeping, name, 0)
    changes = _Changes(vector, "running", 4)
    async with _collections(vector, changes.name):
        folder = tmp_path / "kept"
        copies: list[Path] = []
        async with graph.graph_service(stores, vector.address, **_kept(folder, follow_poll_seconds=0.02)) as door:
            for turn in range(4):
                await changes.make(2)
                before = _written(folder)
                async with asyncio.timeout(bounds.RECOVERY):
                    while _written(folder) == before:
                        await door.retrieve(_QUESTIONS[0], [changes.name])
                        await changes.make(1)
                copies.append(shutil.copytree(folder, tmp_path / f"copy-{turn}"))
        expected = await _anew(stores, vector, changes.name)
        for copy in copies:
            async with graph.graph_service(stores, vector.address, **_kept(copy, follow="false")) as door:
                assert await _everything(door, changes.name) == expected
                assert not await _read_whole(door)


def _written(folder: Path) -> set[tuple[int, int]]:
    """Which files there are, by number and time."""
    return {(one.stat().st_ino, one.stat().st_mtime_ns) for one in folder.glob("*.index")}


async def test_what_was_said_by_hand_meanwhile_counts(stores: Stores, vector: VectorDoor, tmp_path: Path) -> None:
    async with _collections(vector, "by-hand"):
        texts = {
            "First": "The engine was described by a countess.",
            "Second": "A park by a lake was her home.",
            "Third": "A mill by a river was his home.",
            **{f"Filler {n}": f"Nothing of interest happened in year {n}." for n in range(20)},
        }
        await vector.ingest("by-hand", texts)

        async def led(door: GraphDoor) -> set[str]:
            found = await door.retrieve("Where did the person live who described the engine?", ["by-hand"], k=30)
            return {one.title for one in found.passages if any(step.id == "ada lovelace" for step in one.path)}

        async def until(door: GraphDoor, *titles: str) -> None:
            async with asyncio.timeout(bounds.RECOVERY):
                while await led(door) != set(titles):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)

        async def say(*titles: str) -> None:
            said = [Evidence(title, 0, "ada lovelace") for title in titles]
            async with graph.graph_store(stores) as store:
                stored = await store.upsert_entities(
                    "default", "by-hand", [NewEntity("ada lovelace", "Ada Lovelace", mentions=said)]
                )
                assert list(stored.refused) == []

        async with graph.graph_service(stores, vector.address, **_kept(tmp_path)) as door:
            await vector.caught_up("by-hand")
            await say("First", "Second")
            await until(door, "Second")
        # Said while nobody was there; and taken back.
        await say("Third")
        async with graph.graph_service(stores, vector.address, **_kept(tmp_path)) as door:
            await until(door, "Second", "Third")
            assert not await _read_whole(door)
        async with graph.graph_store(stores) as store:
            await store.delete_entities("default", "by-hand", ["ada lovelace"])
        async with graph.graph_service(stores, vector.address, **_kept(tmp_path)) as door:
            await until(door)
            assert not await _read_whole(door)


async def test_nothing_of_a_collection_that_was_made_anew_is_left(
    stores: Stores, vector: VectorDoor, tmp_path: Path
) -> None:
    settings = _kept(tmp_path)
    async with _collections(vector, "anew", "gone", "stays"):
        for name in ("anew", "gone", "stays"):
            await vector.ingest(name, {"Old": f"Ada Lovelace was in {name}."})
        async with graph.graph_service(stores, vector.address, **settings) as door:
            for name in ("anew", "gone", "stays"):
                await vector.caught_up(name)
        for name in ("anew", "gone"):
            await vector.delete(name)
        await vector.create("anew")
        await vector.ingest("anew", {"New": "Alan Turing was in Berlin."})
        async with graph.graph_service(stores, vector.address, **settings) as door:
            await vector.caught_up("anew")
            for name, title in (("anew", "New"), ("stays", "Old")):
                answer = await door.retrieve("Who was where?", [name], k=9)
                assert (answer.degraded, [one.title for one in answer.passages]) == ("", [title])
            # What a name is, is judged over everything in the index: nothing of what is gone may be in it.
            async with asyncio.timeout(bounds.RECOVERY):
                while await _gauges(door, "passages") != [2]:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
    # Without a collection there is no index, and no file.
    async with graph.graph_service(stores, vector.address, **settings):
        async with asyncio.timeout(bounds.RECOVERY):
            while _written(tmp_path):  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("harm", ["cut", "changed", "empty"])
async def test_a_damaged_file_is_passed_over(stores: Stores, vector: VectorDoor, tmp_path: Path, harm: str) -> None:
    async with _collections(vector, "harmed"):
        await vector.ingest("harmed", _documents(random.Random(8), 10))
        async with graph.graph_service(stores, vector.address, **_kept(tmp_path)):
            await vector.caught_up("harmed")
        (file,) = list(tmp_path.glob("*.index"))  # noqa: ASYNC240 - a small folder
        whole = file.read_bytes()
        middle = len(whole) // 2
        changed = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        file.write_bytes({"cut": whole[:middle], "changed": changed, "empty": b""}[harm])
        async with graph.graph_service(stores, vector.address, **_kept(tmp_path)) as door:
            assert await _everything(door, "harmed") == await _anew(stores, vector, "harmed")
            assert await _read_whole(door)
        # What was read anew was written down anew.
        async with graph.graph_service(stores, vector.address, **_kept(tmp_path)) as door:
            await _everything(door, "harmed")
            assert not await _read_whole(door)


async def _read_whole(door: GraphDoor) -> bool:
    """Whether the service has read a whole collection, rather than a file."""
    return any(await _gauges(door, "read_seconds"))


async def _gauges(door: GraphDoor, name: str) -> list[float]:
    """What Prometheus is told of each index."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{door.running.metrics_address}/metrics") as answer,
    ):
        lines = (await answer.text()).splitlines()
    return [float(line.split()[-1]) for line in lines if line.startswith(f"pergola_graph_index_{name}{{")]
