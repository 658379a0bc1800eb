"""Workers: take jobs from the queue and see them through, or give them back."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from services.runtime.call import acting_as
from services.runtime.errors import (
    Aborted,
    Cancelled,
    DeadlineExceeded,
    PergolaError,
    ResourceExhausted,
    Unavailable,
    Upstream,
    UpstreamAuthentication,
    UpstreamRejected,
)
from services.vector.ingestion.ingest import Ingestion
from services.vector.meters import Meters
from services.vector.model import Collection
from services.vector.stores import collections, failures, queue, waiting
from services.vector.stores.database.connections import Database, Session
from services.vector.stores.database.listener import Hints
from services.vector.stores.queue import Claim, Fenced

log = logging.getLogger(__name__)

_LONGEST_WAIT: Final = 300.0
_WORTH_A_RETRY: Final = (Unavailable, Upstream, DeadlineExceeded, ResourceExhausted, Aborted, Cancelled)
_NOT_WORTH_IT: Final = (UpstreamAuthentication, UpstreamRejected)


@dataclass(frozen=True, slots=True)
class Rules:
    """How jobs are handled."""

    lease: float
    """Seconds after which a silent worker loses its job."""
    attempts: int
    retry: float
    """Seconds before the second attempt; four times as long with each one."""
    poll: float


class Worker:
    """Works on one job at a time. Several of them, here and elsewhere, share one queue."""

    def __init__(self, database: Database, hints: Hints, ingestion: Ingestion, rules: Rules, meters: Meters) -> None:
        self._database = database
        self._meters = meters
        self._hints = hints
        self._ingestion = ingestion
        self._rules = rules

    async def run(self) -> None:
        """Works until cancelled; a job in hand then goes back to the queue at once."""
        async with self._hints.waiting("queue", "") as woken:
            while True:
                woken.clear()
                try:
                    while await self._one():
                        pass
                except PergolaError as error:
                    log.warning("the queue can't be read: %s", error.reason)
                except Exception:
                    # One job, or one odd answer of the database, must not end the work on all others.
                    log.exception("the queue can't be read")
                with suppress(TimeoutError):
                    # Spread, so that many workers don't look at the same moment.
                    async with asyncio.timeout(self._rules.poll * random.uniform(0.5, 1.0)):  # noqa: S311
                        await woken.wait()

    async def _one(self) -> bool:
        """Takes and works on one job; False when there is none."""
        for tenant, job_id in await queue.candidates(self._database):
            taken = await queue.claim(self._database, tenant, job_id, self._rules.lease)
            if taken is not None:
                held, poisoned = taken
                self._tell(held)
                await self._work(held, poisoned=poisoned)
                return True
        return False

    async def _work(self, held: Claim, *, poisoned: bool) -> None:
        with acting_as(held.tenant):
            try:
                if poisoned:
                    rest = await self._without_poison(held)
                    if rest is None:
                        return
                    held = rest
                elif held.failed_attempts >= self._rules.attempts:
                    await self._end(
                        held,
                        "WORKER_LOST",
                        "The processes that worked on it were lost, again and again.",
                    )
                    return
                async with self._kept(held):
                    await self._through(held)
                self._meters.attempts["completed"] += 1
            except Fenced:
                self._meters.attempts["taken away"] += 1
                log.info("a job was taken away", extra={"job": str(held.job_id)})
            except asyncio.CancelledError:
                self._meters.attempts["handed over"] += 1
                await self._release(held)
                raise
            except PergolaError as error:
                await self._failed(held, error)
            except Exception:
                # A fault of ours: the job must not stay with a worker that gave up.
                log.exception("a job failed unexpectedly", extra={"job": str(held.job_id)})
                await self._failed(held, None)
            finally:
                self._tell(held)

    async def _through(self, held: Claim) -> None:
        collection = await self._collection(held)
        async with aclosing(self._ingestion.steps(held, collection)) as steps:
            async for _ in steps:
                self._tell(held)
                self._hints.send("change", str(collection.id))
        async with self._database.transaction(held.tenant) as session:
            await queue.lock(session, held)
            await queue.complete(session, held)
        if held.wait_for:
            async with self._database.transaction(held.tenant) as session:
                await waiting.settle(session, held.tenant, held.collection_id)

    async def _without_poison(self, held: Claim) -> Claim | None:
        """The job behind the document that kills workers; None when it has had too many of them."""
        async with self._database.transaction(held.tenant) as session:
            await queue.lock(session, held)
            rest = await failures.poison(session, held)
        log.warning("a document kills workers", extra={"job": str(held.job_id), "position": held.position})
        return rest

    async def _collection(self, held: Claim) -> Collection:
        async with self._database.transaction(held.tenant) as session:
            found = await collections.find(session, held.collection)
        if found is None or found.id != held.collection_id:
            # Deleting a collection ends its jobs in the same transaction.
            raise Fenced
        return found

    @asynccontextmanager
    async def _kept(self, held: Claim) -> AsyncIterator[None]:
        """Renews the lease while the block runs; cancels the block when the job is lost."""
        block = asyncio.current_task()
        lost = False

        async def renew() -> None:
            nonlocal lost
            while True:
                # A hint that the job was cancelled comes at once.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._rules.lease / 3):
                        await fenced.wait()
                fenced.clear()
                try:
                    await queue.renew(self._database, held, self._rules.lease)
                except Fenced:
                    lost = True
                    if block is not None:
                        block.cancel()
                    return
                except Exception as error:
                    # Until the lease has run out there is time for the database to come back.
                    log.info("a lease was not renewed: %s", type(error).__name__)

        async with self._hints.waiting("fence", str(held.job_id)) as fenced:
            keeper = asyncio.create_task(renew(), name="lease")
            try:
                yield
            except asyncio.CancelledError:
                if lost and block is not None and block.uncancel() == 0:
                    raise Fenced from None
                raise
            finally:
                keeper.cancel()
                await asyncio.wait({keeper})

    async def _failed(self, held: Claim, error: PergolaError | None) -> None:
        """Back to the queue when it is worth another attempt, else the end of the job."""
        reason = "INTERNAL" if error is None else error.reason
        message = "An unexpected fault; the service's log has it." if error is None else error.message
        worth = error is None or (isinstance(error, _WORTH_A_RETRY) and not isinstance(error, _NOT_WORTH_IT))
        if not worth or held.failed_attempts + 1 >= self._rules.attempts:
            await self._end(held, reason, message)
            return
        wait = min(_LONGEST_WAIT, self._rules.retry * 4**held.failed_attempts)
        if error is not None and error.retry_after is not None:
            wait = max(wait, min(_LONGEST_WAIT, error.retry_after))
        log.info("a job waits for another attempt", extra={"job": str(held.job_id), "reason": reason, "seconds": wait})
        await self._put_back(held, wait)

    async def _release(self, held: Claim) -> None:
        """Before this process ends: let another worker have the job at once."""
        with suppress(Exception):
            async with self._database.transaction(held.tenant) as session:
                await queue.lock(session, held)
                await queue.put_back(session, held, 0.0, failed=False)
            self._hints.send("queue", "")

    async def _put_back(self, held: Claim, wait: float) -> None:
        async def write(session: Session) -> None:
            await queue.put_back(session, held, wait, failed=True)

        self._meters.attempts["put back"] += 1
        await self._surely(held, write)
        self._hints.send("queue", "")

    async def _end(self, held: Claim, reason: str, message: str) -> None:
        async def write(session: Session) -> None:
            await queue.end(session, held, "failed", reason, message)

        self._meters.attempts["failed"] += 1
        await self._surely(held, write)

    async def _surely(self, held: Claim, write: Callable[[Session], Awaitable[None]]) -> None:
        """Writes, as soon as the database lets us, unless somebody else has taken the job by then.

        If it were left to the end of the lease, an outage would look like a worker that was lost.
        """
        pause = 0.2
        while True:
            try:
                async with self._database.transaction(held.tenant) as session:
                    await queue.lock(session, held)
                    await write(session)
            except Fenced:
                return
            except PergolaError as error:
                log.info("a job's state can't be written yet: %s", error.reason, extra={"job": str(held.job_id)})
            else:
                return
            await asyncio.sleep(pause)
            pause = min(self._rules.poll, pause * 2)

    def _tell(self, held: Claim) -> None:
        self._hints.send("job", str(held.job_id))
