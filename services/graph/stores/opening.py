"""Which store stands behind the settings."""

from contextlib import AbstractAsyncContextManager

from services.graph.settings import GraphSettings
from services.graph.store import GraphStore
from services.graph.stores.arcadedb.store import ArcadeDBStore
from services.graph.stores.neo4j.store import Neo4jStore, Tenants


def open_store(settings: GraphSettings, tenants: Tenants) -> AbstractAsyncContextManager[GraphStore]:
    """With an API for administration, a database and a login a tenant; over Bolt alone, one database for all. What the
    server then really can do, it is asked (`GraphStore.probe`). `tenants`: those that are configured now."""
    if settings.store_admin_url is None:
        return Neo4jStore.open(
            settings.store_url,
            settings.store_database,
            settings.store_user,
            settings.store_password,
            tenants,
            connections=settings.store_connections,
            timeout=settings.store_timeout_seconds,
            fetch_size=settings.cypher_fetch_rows,
            cypher_running=settings.cypher_max_running,
        )
    return ArcadeDBStore.open(
        settings.store_url,
        settings.store_admin_url,
        settings.store_user,
        settings.store_password,
        connections=settings.store_connections,
        timeout=settings.store_timeout_seconds,
        fetch_size=settings.cypher_fetch_rows,
        cypher_seconds=settings.cypher_timeout_seconds,
        cypher_running=settings.cypher_max_running,
    )
