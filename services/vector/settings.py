"""Settings of the vector service."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from services.providers.embedding.minilm import NAME as BUILT_IN
from services.providers.embedding.minilm import NAMES as BUILT_INS
from services.runtime.settings import Secret, ServiceSettings

Login = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
Url = Annotated[str, Meta(pattern=r"^https?://[^@\s]+$")]
Dimension = Annotated[int, Meta(ge=1, le=4000)]


class VectorSettings(ServiceSettings, frozen=True, kw_only=True):
    """What the vector service reads from the environment."""

    postgres_url: Annotated[
        str,
        Meta(
            pattern=r"^postgres(ql)?://[^@\s]+$",
            description="postgresql://host:port/database of a PostgreSQL 16 or newer with pgvector 0.8 or newer; "
            "no user and no password in it. `?sslmode=` as in libpq.",
        ),
    ]
    postgres_owner_user: Annotated[
        Login, Meta(description="Login that owns the database: migrations, and the tables of each collection.")
    ]
    postgres_owner_password: Annotated[Secret, Meta(description="Its password.")]
    postgres_app_user: Annotated[
        Login, Meta(description="Login for everything else. Owns nothing, and row-level security holds for it.")
    ]
    postgres_app_password: Annotated[Secret, Meta(description="Its password.")]
    postgres_connections: Annotated[
        int, Meta(ge=4, le=1000, description="Connections of the app login this process opens at most.")
    ] = 16
    postgres_queries: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Statements for nearest points of a collection that this process has under way at most; "
            "questions that come meanwhile go together in the next one.",
        ),
    ] = 8
    statement_seconds: Annotated[
        float, Meta(gt=0, description="Longest statement of background work, in seconds; a call's have its deadline.")
    ] = 60.0

    models_dir: Annotated[
        Path,
        Meta(description="Folder for the graphs built from the built-in embedding model's weights (up to 150 MB)."),
    ] = Path(".pergola/models")
    embedding_threads: Annotated[
        int, Meta(ge=0, le=256, description="Threads of the built-in model for bulk work; 0: one a core.")
    ] = 0
    embedding_model: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=128,
            description=f"Model of collections that name none: `{BUILT_IN}`, `{BUILT_INS['int8']}` (the same in 8 "
            "bits: twice as fast, a little less exact), or the endpoint's.",
        ),
    ] = BUILT_IN
    embedding_cache_seconds: Annotated[
        int, Meta(ge=0, description="How long embeddings stay in the cache service; 0: they are not cached.")
    ] = 7 * 86_400
    embedding_endpoint_url: Annotated[
        Url | None,
        Meta(
            description="Base of an OpenAI-compatible API, such as http://127.0.0.1:11434/v1; its /embeddings is used."
        ),
    ] = None
    embedding_endpoint_model: Annotated[str | None, Meta(description="Model asked for there; also its name here.")] = (
        None
    )
    embedding_endpoint_dimension: Annotated[
        Dimension | None, Meta(description="Numbers in that model's vectors, 1 to 4,000.")
    ] = None
    embedding_endpoint_key: Annotated[Secret | None, Meta(description="API key sent there as a bearer token.")] = None
    embedding_endpoint_window: Annotated[
        int, Meta(ge=32, le=1_000_000, description="Tokens of text that model takes.")
    ] = 512
    embedding_endpoint_batch: Annotated[int, Meta(ge=1, le=2048, description="Most texts in one request there.")] = 64
    embedding_endpoint_concurrency: Annotated[int, Meta(ge=1, le=256, description="Most requests there at once.")] = 4
    embedding_endpoint_seconds: Annotated[
        float, Meta(gt=0, description="Longest wait for one answer from there, in seconds.")
    ] = 60.0

    chunk_mode: Annotated[
        Literal["structure", "sentences", "tokens"],
        Meta(
            description="How documents of collections that don't say are cut: whole sentences under one heading, whole "
            "sentences, or as many tokens as fit."
        ),
    ] = "structure"
    chunk_tokens: Annotated[
        int,
        Meta(
            ge=16,
            le=8192,
            description="Most tokens of a passage; less where the model's window leaves less beside its title and "
            "headings.",
        ),
    ] = 240
    chunk_overlap_tokens: Annotated[
        int,
        Meta(
            ge=0,
            le=4096,
            description="Tokens, of whole sentences where there are any, that a passage repeats from the one before.",
        ),
    ] = 32

    neighbors: Annotated[
        Literal["auto", "on", "off"],
        Meta(
            description="Whose passages are embedded and indexed with what stands before them, in collections that "
            "don't say: those of conversations, which are told by their shape and cut turn by turn (`auto`), all "
            "(`on`), or none, and then no conversation is cut by turns (`off`)."
        ),
    ] = "auto"

    max_upload_bytes: Annotated[
        int, Meta(ge=1024, le=2**30, description="Largest uploaded file; the gateway has a limit of its own.")
    ] = 100 * 2**20
    parse_seconds: Annotated[
        float, Meta(gt=0, le=3600, description="Longest time for parsing one uploaded file; then its parser is killed.")
    ] = 60.0
    parse_memory_mb: Annotated[
        int,
        Meta(ge=64, le=2**16, description="Memory in MiB that parsing one uploaded file may take, the file included."),
    ] = 768

    workers: Annotated[
        int, Meta(ge=0, le=64, description="Jobs this process works on at once; 0: it accepts jobs, others do them.")
    ] = 2
    job_lease_seconds: Annotated[
        float, Meta(ge=1, description="A job whose worker is silent that long goes to another one.")
    ] = 30.0
    job_attempts: Annotated[int, Meta(ge=1, le=100, description="Attempts after which a job is failed.")] = 5
    job_retry_seconds: Annotated[
        float,
        Meta(gt=0, description="Wait before the second attempt; four times as long with each one, up to 5 minutes."),
    ] = 2.0
    job_retention_days: Annotated[
        int, Meta(ge=1, description="Days that ended jobs can be read, and what failed in them retried.")
    ] = 30
    job_wait_warning_seconds: Annotated[
        float,
        Meta(gt=0, description="A job that waits so long for a consumer of the change feed says so in its warnings."),
    ] = 60.0
    feed_retention_days: Annotated[
        float,
        Meta(
            ge=0,
            description="Days that changes are kept one by one; those that all consumers acknowledged are then "
            "compacted to what is left of them.",
        ),
    ] = 7.0
    feed_consumer_days: Annotated[
        float,
        Meta(
            gt=0,
            description="A consumer that is behind and silent that long is dropped: the feed is compacted "
            "without it, and it gets a reset when it comes back.",
        ),
    ] = 30.0
    poll_seconds: Annotated[
        float,
        Meta(gt=0, description="Followers and workers look for themselves this often, should a notification be lost."),
    ] = 5.0
    heartbeat_seconds: Annotated[float, Meta(gt=0, description="Silence after which a stream sends a heartbeat.")] = (
        10.0
    )

    vector_storage: Annotated[
        Literal["halfvec", "vector"],
        Meta(description="How new collections store numbers: 16 bits (indexed up to 4,000 dimensions) or 32 (2,000)."),
    ] = "halfvec"
    delta_rows: Annotated[
        int,
        Meta(
            ge=1,
            description="New points outside a collection's index, which are searched exactly; when there are more, "
            "they are moved into it in the background.",
        ),
    ] = 10_000

    def problems(self) -> list[str]:
        found = super().problems()
        endpoint = {
            "embedding_endpoint_url": self.embedding_endpoint_url,
            "embedding_endpoint_model": self.embedding_endpoint_model,
            "embedding_endpoint_dimension": self.embedding_endpoint_dimension,
        }
        missing = [name for name, value in endpoint.items() if value is None]
        if 0 < len(missing) < len(endpoint):
            found.append(f"{missing[0]}: an embedding endpoint needs {', '.join(endpoint)}")
        built_in = BUILT_INS.values()
        if self.embedding_endpoint_model in built_in:
            found.append(f"embedding_endpoint_model: {self.embedding_endpoint_model} is a built-in model's name")
        if self.embedding_model not in (*built_in, self.embedding_endpoint_model):
            found.append(f"embedding_model: neither {' nor '.join(built_in)} nor embedding_endpoint_model")
        if self.chunk_overlap_tokens * 2 > self.chunk_tokens:
            found.append("chunk_overlap_tokens: at most half of chunk_tokens")
        return found
