"""Settings of the graph service."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from services.graph.cypher import Limits
from services.runtime.settings import Secret, ServiceSettings


class GraphSettings(ServiceSettings, frozen=True, kw_only=True):
    store_url: Annotated[
        str,
        Meta(
            pattern=r"^bolt(\+s|\+ssc)?://",
            description="The graph store over Bolt: bolt://host:port, bolt+s:// over TLS.",
        ),
    ]
    store_admin_url: (
        Annotated[
            str,
            Meta(
                pattern=r"^https?://",
                description="ArcadeDB's HTTP API, by which a database and a read-only login a tenant are made: "
                "http(s)://host:port. Absent: over Bolt alone (Neo4j), all tenants in one database.",
            ),
        ]
        | None
    ) = None
    store_database: Annotated[
        str, Meta(min_length=1, description="That one database; not used when store_admin_url is set.")
    ] = "neo4j"
    store_user: Annotated[
        str, Meta(min_length=1, description="Login at the graph store that may make databases and logins.")
    ] = "root"
    store_password: Annotated[
        Secret,
        Meta(description="Its password. The passwords of the read-only logins are derived from it."),
    ]
    store_connections: Annotated[
        int, Meta(ge=2, le=1000, description="Most connections to the graph store, for each login.")
    ] = 50
    store_timeout_seconds: Annotated[
        float,
        Meta(gt=0, le=600, description="Most seconds for one transaction, however far the call's deadline is."),
    ] = 30.0
    cypher_timeout_seconds: Annotated[
        float, Meta(gt=0, le=3600, description="Most seconds for one statement of RunQuery; the store enforces it too.")
    ] = 120.0
    cypher_max_bytes: Annotated[
        int, Meta(ge=1024, description="Most bytes of rows in one answer of RunQuery; beyond it TOO_MANY_ROWS.")
    ] = 64 * 1024 * 1024
    cypher_max_running: Annotated[
        int, Meta(ge=1, description="Statements of one tenant that run at the same time, for this process.")
    ] = 8
    cypher_fetch_rows: Annotated[int, Meta(ge=1, le=100_000, description="Rows fetched from the store at a time.")] = (
        500
    )
    search_meaning_names: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Names that SearchEntities compares when it searches by meaning: those most mentioned.",
        ),
    ] = 1000
    retrieve_link_seconds: Annotated[
        float,
        Meta(gt=0, le=600, description="Most seconds that Retrieve spends on links; then it answers without them."),
    ] = 5.0
    index_dir: (
        Annotated[
            Path,
            Meta(
                description="Folder in which the indexes behind Retrieve are kept over a restart, at most twice their "
                "size; processes of one installation may share it. Absent: each start reads all passages anew."
            ),
        ]
        | None
    ) = None
    follow: Annotated[bool, Meta(description="Whether this process follows collections; reading works without.")] = True
    follow_poll_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="Seconds between two looks for collections to follow; more while looking takes long.",
        ),
    ] = 0.5
    follow_lease_seconds: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="Seconds after which another process takes over the collections of one that died.",
        ),
    ] = 30.0
    follow_batch_passages: Annotated[
        int, Meta(ge=1, le=500, description="Passages brought into the graph by one transaction.")
    ] = 64

    def problems(self) -> list[str]:
        found = super().problems()
        for name, url in (("store_url", self.store_url), ("store_admin_url", self.store_admin_url)):
            try:
                parts = urlsplit(url or "http://absent:1")
                if parts.hostname is None or parts.port is None:
                    found.append(f"{name}: needs a host and a port")
                if parts.username is not None or parts.password is not None:
                    found.append(f"{name}: must not hold a login; give it as store_user and store_password")
            except ValueError:
                found.append(f"{name}: is not a URL")
        return found

    @property
    def cypher_limits(self) -> Limits:
        return Limits(self.cypher_timeout_seconds, self.cypher_max_bytes)
