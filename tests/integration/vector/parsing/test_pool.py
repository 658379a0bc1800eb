"""The pool: limits that end a worker, workers that end with their pool, and what a worker may not do."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Final

import psutil  # type: ignore[import-untyped]
import pytest

from services.vector.parsing.model import Limits, ParseFailed, ParserUnavailable, Reason
from services.vector.parsing.pool import ParserPool
from tests import bounds
from tests.support import files

LONG: Final = b"name,number,word\n" + b"Kim,12345,pergola\n" * 1_500_000
"""A table that takes seconds."""
ROOMY: Final = Limits(text_chars=200_000_000, memory_bytes=4_000_000_000, seconds=100.0)


@pytest.fixture
async def pool() -> AsyncIterator[ParserPool]:
    async with ParserPool(1) as one:
        yield one


async def worker_of(pool: ParserPool) -> int:
    """The process that parses an ordinary file, which has to work."""
    parsed = await pool.parse(b"Words.", "a.txt", None, Limits())
    assert parsed.text == "Words."
    (worker,) = pool._idle
    return worker.pid


async def begun(pool: ParserPool, parsing: "asyncio.Task[object]") -> int:
    """The process that works on a file that has just been given to the pool, once it has taken all of it."""
    while not pool._busy:
        await asyncio.sleep(0)
        assert not parsing.done()
    (worker,) = pool._busy
    process = psutil.Process(worker.pid)
    before = process.cpu_times().user
    while process.cpu_times().user < before + 0.2:
        await asyncio.sleep(0.01)
        assert not parsing.done()
    return worker.pid


async def ended(pool: ParserPool) -> None:
    """Waits until every worker that was killed is gone."""
    while pool._ending:
        await asyncio.wait(pool._ending)


async def failed(pool: ParserPool, data: bytes, name: str, limits: Limits) -> Reason:
    with pytest.raises(ParseFailed) as caught:
        await pool.parse(data, name, None, limits)
    return caught.value.reason


async def test_a_worker_stays_warm_and_is_replaced_after_its_share() -> None:
    async with ParserPool(1, tasks_a_worker=3) as pool:
        first = await worker_of(pool)
        assert await worker_of(pool) == first
        await pool.parse(b"third", "", None, Limits())
        assert pool._idle == []
        assert await worker_of(pool) != first


async def test_every_format_is_read_in_a_worker(pool: ParserPool) -> None:
    """A worker can open nothing: whatever a format needs must be there before."""
    cases = {
        "pdf": files.pdf(), "docx": files.saved(files.word()), "pptx": files.slides(), "xlsx": files.workbook(),
        "epub": files.epub(), "email": files.mail(html=True), "html": b"<html><p>a", "csv": b"a,b\n1,2\n",
        "json": b'{"a": 1}', "markdown": b"# a\n\n- b\n",
    }  # fmt: skip
    endings = {"email": "eml", "markdown": "md"}
    pid = await worker_of(pool)
    for form, data in cases.items():
        parsed = await pool.parse(data, f"a.{endings.get(form, form)}", None, Limits())
        assert parsed.format == form
    for encoding in ("cp949", "cp932", "euc_jp", "gb18030", "big5", "cp1252", "koi8_r", "iso2022_jp", "hz", "utf-7"):
        declared = f"text/plain; charset={encoding}"
        assert (await pool.parse("Größe 정원".encode(encoding, "replace"), "a.txt", declared, Limits())).text
    assert await worker_of(pool) == pid


async def test_too_slow(pool: ParserPool) -> None:
    before = await worker_of(pool)
    assert await failed(pool, LONG, "a.csv", Limits(seconds=0.3)) == Reason.TOO_SLOW
    await ended(pool)
    assert not psutil.pid_exists(before)
    assert await worker_of(pool) != before


async def test_out_of_memory(pool: ParserPool) -> None:
    own = psutil.Process()
    before = await worker_of(pool)
    size = own.memory_info().rss
    assert await failed(pool, LONG * 2, "a.csv", Limits(memory_bytes=80_000_000)) == Reason.OUT_OF_MEMORY
    assert own.memory_info().rss < size + 160_000_000, "the doubled file itself and what was on its way"
    assert await worker_of(pool) != before


async def test_the_watch_alone_ends_what_takes_too_much_memory(pool: ParserPool) -> None:
    """Where the kernel does not limit memory (macOS), the pool sees it."""
    pid = await worker_of(pool)
    if sys.platform == "linux":
        psutil.Process(pid).rlimit(psutil.RLIMIT_AS, (-1, -1))
    assert await failed(pool, LONG, "a.csv", Limits(memory_bytes=30_000_000)) == Reason.OUT_OF_MEMORY


async def test_a_dead_worker_is_told(pool: ParserPool) -> None:
    parsing = asyncio.create_task(pool.parse(LONG, "a.csv", None, ROOMY))
    os.kill(await begun(pool, parsing), signal.SIGSEGV)
    with pytest.raises(ParseFailed) as caught:
        await parsing
    assert caught.value.reason == Reason.CRASHED
    os.kill(await worker_of(pool), signal.SIGKILL)
    (worker,) = pool._idle
    await worker.ended()
    assert await worker_of(pool) != worker.pid


async def test_cancelling_kills_the_worker(pool: ParserPool) -> None:
    parsing = asyncio.create_task(pool.parse(LONG, "a.csv", None, ROOMY))
    pid = await begun(pool, parsing)
    parsing.cancel()
    async with asyncio.timeout(bounds.AFTER_CANCEL):
        with pytest.raises(asyncio.CancelledError):
            await parsing
        await ended(pool)
    assert not psutil.pid_exists(pid)
    await worker_of(pool)


async def test_closing_ends_everything() -> None:
    pool = ParserPool(2)
    parsing = asyncio.create_task(pool.parse(LONG, "a.csv", None, ROOMY))
    busy = await begun(pool, parsing)
    await pool.parse(b"Words.", "", None, Limits())
    (idle,) = (worker.pid for worker in pool._idle)
    await pool.close()
    assert not psutil.pid_exists(busy)
    assert not psutil.pid_exists(idle)
    with pytest.raises(ParseFailed):
        await parsing
    with pytest.raises(ParserUnavailable):
        await pool.parse(b"Words.", "", None, Limits())


async def test_files_wait_for_a_free_worker() -> None:
    async with ParserPool(2) as pool:
        found = await asyncio.gather(*(pool.parse(b"text %d" % n, "", None, Limits()) for n in range(30)))
        assert [one.text for one in found] == [f"text {n}" for n in range(30)]
        assert len(pool._idle) == 2


_PARENT: Final = """
import asyncio, os, sys
import uvloop
from services.vector.parsing.model import Limits
from services.vector.parsing.pool import ParserPool

async def main():
    pool = ParserPool(2)
    await pool.parse(b"Words.", "", None, Limits())
    long = b"a,b,c\\n" + b"Kim,12345,pergola\\n" * 1_500_000
    limits = Limits(text_chars=200_000_000, memory_bytes=4_000_000_000, seconds=100.0)
    tasks = [asyncio.create_task(pool.parse(data, "a.csv", None, limits)) for data in (long, b"a,b")]
    await tasks[1]
    await asyncio.sleep(0.5)
    print(*(worker.pid for worker in (*pool._idle, *pool._busy)), flush=True)
    await asyncio.sleep(100)

uvloop.run(main())
"""


def test_workers_end_when_their_parent_is_killed() -> None:
    """Under the event loop of the services, one worker busy and one idle."""
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            workers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
            assert len(workers) == 2
            assert all(worker.is_running() for worker in workers)
        finally:
            parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=bounds.RECOVERY)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


_CONFINED: Final = """
import os, socket, sys, threading
from services.vector.parsing.confine import Confinement
Confinement().close_in()
def refused(attempt):
    try:
        attempt()
    except OSError:
        return True
    return False
os.write(1, repr([
    refused(lambda: open("/etc/hosts")),
    refused(lambda: socket.socket()),
    refused(lambda: os.dup(0)),
    refused(lambda: os.pipe()),
]).encode())
"""


def test_a_confined_process_opens_nothing() -> None:
    found = subprocess.run([sys.executable, "-c", _CONFINED], stdout=subprocess.PIPE, check=True, close_fds=True)
    assert found.stdout == b"[True, True, True, True]"


async def test_a_worker_gets_nothing_of_our_environment(pool: ParserPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERGOLA_VECTOR_SECRET", "hush")
    found = psutil.Process(await worker_of(pool)).environ()
    assert not [name for name in found if name.startswith("PERGOLA")]
    assert "HOME" not in found
