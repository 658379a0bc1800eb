"""The pool of connections: bounded, fair, and whole again after whatever its users do."""

import asyncio
from typing import Any

import pytest

from services.vector.stores.database.pool import Pool, PoolClosed


class Connection:
    """What the pool needs of one."""

    def __init__(self) -> None:
        self.closed = False

    def is_closed(self) -> bool:
        return self.closed

    def terminate(self) -> None:
        self.closed = True

    async def close(self, **_: float) -> None:
        self.closed = True


class Server:
    """Makes connections, or refuses to."""

    def __init__(self) -> None:
        self.made: list[Connection] = []
        self.fails = False
        self.open = asyncio.Event()
        self.open.set()

    async def connect(self) -> Any:
        await self.open.wait()
        if self.fails:
            raise OSError
        self.made.append(Connection())
        return self.made[-1]


async def test_connections_are_used_again_and_never_more_than_allowed() -> None:
    server = Server()
    pool = Pool(server.connect, 2)
    first, second = await pool.acquire(1), await pool.acquire(1)
    with pytest.raises(TimeoutError):
        await pool.acquire(0.01)
    pool.release(first)
    assert await pool.acquire(1) is first
    pool.release(second)
    assert await pool.acquire(1) is second
    assert len(server.made) == 2


async def test_who_waits_longest_comes_first() -> None:
    server = Server()
    pool = Pool(server.connect, 1)
    held = await pool.acquire(1)
    order: list[int] = []

    async def use(number: int) -> None:
        connection = await pool.acquire(5)
        order.append(number)
        pool.release(connection)

    tasks = [asyncio.create_task(use(number)) for number in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    pool.release(held)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 3, 4]
    assert len(server.made) == 1


async def test_a_connection_given_to_who_went_away_is_not_lost() -> None:
    server = Server()
    pool = Pool(server.connect, 1)
    held = await pool.acquire(1)
    gone, waits = (asyncio.create_task(pool.acquire(5)) for _ in range(2))
    await asyncio.sleep(0)
    pool.release(held)
    # Both in one step of the loop: it was given, and is cancelled before it learns of it.
    gone.cancel()
    assert await waits is held
    assert gone.cancelled()


async def test_a_place_is_free_again_when_a_connection_fails_or_breaks() -> None:
    server = Server()
    pool = Pool(server.connect, 1)
    server.fails = True
    with pytest.raises(OSError):
        await pool.acquire(1)
    server.fails = False
    broken: Any = await pool.acquire(1)
    waits = asyncio.create_task(pool.acquire(5))
    await asyncio.sleep(0)
    broken.terminate()
    pool.release(broken)
    fresh: Any = await waits
    assert fresh is not broken
    fresh.terminate()
    pool.release(fresh)
    last: Any = await pool.acquire(1)
    assert last is server.made[2]


async def test_who_gives_up_while_connecting_leaves_the_place_to_the_next() -> None:
    server = Server()
    pool = Pool(server.connect, 1)
    server.open.clear()
    with pytest.raises(TimeoutError):
        await pool.acquire(0.01)
    waits = asyncio.create_task(pool.acquire(5))
    server.open.set()
    made: Any = await waits
    assert made is server.made[0]


async def test_a_closed_pool_ends_all_connections_and_all_waiting() -> None:
    server = Server()
    pool = Pool(server.connect, 2)
    idle, taken = await pool.acquire(1), await pool.acquire(1)
    pool.release(idle)
    again = await pool.acquire(1)
    waits = asyncio.create_task(pool.acquire(5))
    await asyncio.sleep(0)
    await pool.close(1)
    with pytest.raises(PoolClosed):
        await waits
    with pytest.raises(PoolClosed):
        await pool.acquire(1)
    pool.release(taken)
    pool.release(again)
    assert all(one.closed for one in server.made)
