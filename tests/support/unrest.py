"""What goes on in a collection beside its callers: the delta is merged and the tables are vacuumed, all the while."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from services.vector.model import Collection
from services.vector.stores.database.connections import Database
from services.vector.stores.points import merging
from tests.stacks import Stores


@contextlib.asynccontextmanager
async def unrest(
    stores: Stores, name: str, database: Database, collection: Collection, **more: Callable[[], Awaitable[object]]
) -> AsyncIterator[dict[str, int]]:
    """In the database `name`, until the end of the block; `more` is done over and over again too. Yields how often
    each was done."""
    done = asyncio.Event()
    tables = await stores.postgres(name)
    works = {
        "merged": lambda: merging.merge(database, collection),
        "vacuumed": lambda: tables.execute("VACUUM"),
        **more,
    }
    turns = dict.fromkeys(works, 0)

    async def go_on(work: str) -> None:
        while not done.is_set():
            await works[work]()
            turns[work] += 1

    tasks = [asyncio.create_task(go_on(work)) for work in works]
    try:
        yield turns
    finally:
        done.set()
        await asyncio.gather(*tasks)
        await tables.close()


async def planning(stores: Stores, name: str, mode: str) -> None:
    """How connections to the database `name` plan prepared statements from now on: a `plan_cache_mode`."""
    superuser = await stores.postgres(name)
    await superuser.execute(f"ALTER DATABASE {name} SET plan_cache_mode = {mode}")
    await superuser.close()
