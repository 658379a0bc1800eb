"""Puts the vector service together."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from pergola.vector.v1 import (
    change_pb2_grpc,
    collection_pb2_grpc,
    document_pb2_grpc,
    embedding_pb2_grpc,
    job_pb2_grpc,
    point_pb2_grpc,
)
from services.providers.embedding.minilm import NAME, NAMES, MiniLM
from services.providers.embedding.model import EmbeddingModel
from services.providers.embedding.openai_endpoint import OpenAIEndpoint
from services.providers.embedding.registry import EmbeddingModels
from services.providers.embedding.weights import WeightsError
from services.runtime.errors import StoreUnavailable
from services.runtime.settings import SettingsError
from services.runtime.start import Runtime, Servicer
from services.vector.collections import Catalogue, Collections
from services.vector.documents import StoredDocuments
from services.vector.embedding import Embedder
from services.vector.feed import Feed
from services.vector.handlers.changes import POLICIES as CHANGE_POLICIES
from services.vector.handlers.changes import ChangeHandlers
from services.vector.handlers.collections import CollectionHandlers
from services.vector.handlers.documents import DocumentHandlers
from services.vector.handlers.embeddings import EmbeddingHandlers
from services.vector.handlers.jobs import POLICIES as JOB_POLICIES
from services.vector.handlers.jobs import JobHandlers
from services.vector.handlers.points import POLICIES as POINT_POLICIES
from services.vector.handlers.points import PointHandlers
from services.vector.ingestion.documents import Documents
from services.vector.ingestion.files import Files
from services.vector.ingestion.ingest import Ingestion
from services.vector.ingestion.uploads import Uploads
from services.vector.ingestion.waiting import Waiting
from services.vector.ingestion.worker import Rules, Worker
from services.vector.jobs import Jobs
from services.vector.kept import KeptVectors
from services.vector.maintenance import Maintenance
from services.vector.meters import Meters
from services.vector.model import Chunking
from services.vector.nearest import Nearest
from services.vector.parsing.model import Limits
from services.vector.parsing.pool import ParserPool
from services.vector.peers.cache import EmbeddingCache
from services.vector.points.edits import Edits
from services.vector.points.explaining import Explaining
from services.vector.points.importing import Imports
from services.vector.points.scroll import Scroll
from services.vector.retention import Retention
from services.vector.search import Search
from services.vector.settings import VectorSettings
from services.vector.stores.database.connections import Database
from services.vector.stores.database.listener import Hints
from services.vector.stores.database.migrate import migrate

log = logging.getLogger(__name__)

_PATIENCE: Final = 60.0
"""Seconds that PostgreSQL may take to come up before the start of this service fails."""
_PACKAGE: Final = "pergola.vector.v1."


@asynccontextmanager
async def assemble(settings: VectorSettings, runtime: Runtime[VectorSettings]) -> AsyncIterator[Sequence[Servicer]]:
    """The service's handlers, over a migrated database; its workers run meanwhile."""
    async with AsyncExitStack() as stack:
        models = await _models(settings)
        stack.push_async_callback(models.close)
        database = Database(
            settings.postgres_url,
            app=(settings.postgres_app_user, settings.postgres_app_password.reveal()),
            owner=(settings.postgres_owner_user, settings.postgres_owner_password.reveal()),
            connections=settings.postgres_connections,
            statement_seconds=settings.statement_seconds,
        )
        await _migrated(database)
        await database.open()
        stack.push_async_callback(database.close)

        hints = Hints(database)
        catalogue = Catalogue(database, hints)
        caches = settings.cache_address is not None and settings.embedding_cache_seconds > 0
        cache = EmbeddingCache(runtime.connect("cache"), settings.embedding_cache_seconds) if caches else None
        meters = Meters()
        runtime.metrics.register(meters)
        embedder = Embedder(models, cache, meters)
        collections = Collections(database, hints, catalogue, models, settings.vector_storage)
        documents = Documents(database, hints, collections, settings.job_retention_days)
        uploads = Uploads(database, hints, most_bytes=settings.max_upload_bytes, keep_days=settings.job_retention_days)
        jobs = Jobs(
            database,
            hints,
            poll=settings.poll_seconds,
            heartbeat=settings.heartbeat_seconds,
            keep_days=settings.job_retention_days,
        )
        feed = Feed(database, hints, catalogue, poll=settings.poll_seconds, heartbeat=settings.heartbeat_seconds)
        search = Search(database, catalogue, embedder, Nearest(database, settings.postgres_queries))
        edits = Edits(database, hints, catalogue, embedder)

        # One file at a time a worker. Closed after the workers have ended, which stops what they parse.
        pool = await stack.enter_async_context(ParserPool(max(1, settings.workers)))
        limits = Limits(
            input_bytes=settings.max_upload_bytes,
            seconds=settings.parse_seconds,
            memory_bytes=settings.parse_memory_mb * 2**20,
        )
        ingestion = Ingestion(
            database,
            embedder,
            Files(database, pool, limits),
            meters,
            Chunking(mode=settings.chunk_mode, tokens=settings.chunk_tokens, overlap=settings.chunk_overlap_tokens),
            settings.neighbors,
        )

        # Ended before the database is closed, so that workers can give their jobs back.
        tasks: list[asyncio.Task[None]] = []
        stack.push_async_callback(_ended, tasks)
        tasks.append(runtime.spawn(hints.run_listener(), "listener"))
        tasks.append(runtime.spawn(hints.run_sender(), "hints"))
        retention = Retention(
            database, keep_days=settings.feed_retention_days, consumer_days=settings.feed_consumer_days
        )
        tasks.append(runtime.spawn(Maintenance(database, hints, settings.delta_rows, retention).run(), "maintenance"))
        waiting = Waiting(database, hints, poll=settings.poll_seconds, patience=settings.job_wait_warning_seconds)
        tasks.append(runtime.spawn(waiting.run(), "waiting jobs"))
        tasks.extend(_workers(settings, runtime, database, hints, ingestion, meters))

        yield [
            Servicer(
                _PACKAGE + "CollectionService",
                CollectionHandlers(collections),
                collection_pb2_grpc.add_CollectionServiceServicer_to_server,
            ),
            Servicer(
                _PACKAGE + "PointService",
                PointHandlers(
                    search,
                    Explaining(database, catalogue, search),
                    edits,
                    Imports(edits),
                    Scroll(database, catalogue),
                ),
                point_pb2_grpc.add_PointServiceServicer_to_server,
                POINT_POLICIES,
            ),
            Servicer(
                _PACKAGE + "DocumentService",
                DocumentHandlers(documents, uploads, StoredDocuments(database, hints, settings.job_retention_days)),
                document_pb2_grpc.add_DocumentServiceServicer_to_server,
            ),
            Servicer(
                _PACKAGE + "JobService",
                JobHandlers(jobs),
                job_pb2_grpc.add_JobServiceServicer_to_server,
                JOB_POLICIES,
            ),
            Servicer(
                _PACKAGE + "EmbeddingService",
                EmbeddingHandlers(embedder, KeptVectors(database, catalogue, embedder, meters)),
                embedding_pb2_grpc.add_EmbeddingServiceServicer_to_server,
            ),
            Servicer(
                _PACKAGE + "ChangeService",
                ChangeHandlers(feed),
                change_pb2_grpc.add_ChangeServiceServicer_to_server,
                CHANGE_POLICIES,
            ),
        ]


async def _models(settings: VectorSettings) -> EmbeddingModels:
    try:
        threads = settings.embedding_threads or os.cpu_count() or 1
        built_in = {
            name: await asyncio.to_thread(MiniLM, settings.models_dir, threads=threads, precision=precision)
            for precision, name in NAMES.items()
        }
        # The one that collections get now; the other one is loaded when a collection has it.
        await asyncio.to_thread(built_in.get(settings.embedding_model, built_in[NAME]).load)
    except (WeightsError, OSError) as error:
        raise SettingsError(f"the built-in embedding model can't be used: {error}") from error
    models: dict[str, EmbeddingModel] = dict(built_in)
    if settings.embedding_endpoint_url and settings.embedding_endpoint_model and settings.embedding_endpoint_dimension:
        models[settings.embedding_endpoint_model] = OpenAIEndpoint(
            settings.embedding_endpoint_url,
            settings.embedding_endpoint_model,
            dimension=settings.embedding_endpoint_dimension,
            window=settings.embedding_endpoint_window,
            key=settings.embedding_endpoint_key,
            batch=settings.embedding_endpoint_batch,
            concurrency=settings.embedding_endpoint_concurrency,
            seconds=settings.embedding_endpoint_seconds,
        )
    return EmbeddingModels(models, settings.embedding_model)


async def _migrated(database: Database) -> None:
    """Migrates, and gives a database that is starting up some time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE
    pause = 0.2
    while True:
        try:
            return await migrate(database)
        except StoreUnavailable:
            if loop.time() + pause > until:
                raise
            log.warning("waiting for the database")
        await asyncio.sleep(pause)
        pause = min(5.0, pause * 2)


def _workers(
    settings: VectorSettings,
    runtime: Runtime[VectorSettings],
    database: Database,
    hints: Hints,
    ingestion: Ingestion,
    meters: Meters,
) -> list[asyncio.Task[None]]:
    rules = Rules(
        lease=settings.job_lease_seconds,
        attempts=settings.job_attempts,
        retry=settings.job_retry_seconds,
        poll=settings.poll_seconds,
    )
    return [
        runtime.spawn(Worker(database, hints, ingestion, rules, meters).run(), f"worker-{number}")
        for number in range(settings.workers)
    ]


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
