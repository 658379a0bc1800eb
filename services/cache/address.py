"""Where a value lives: one flat name made of tenant, namespace and key."""

from typing import Final

PREFIX: Final = "pergola:cache"
"""Every Redis key of this service begins with it; other services own other prefixes of the same instance."""


def address(tenant: str, namespace: str, key: str) -> bytes:
    """The name under which a value is stored, the same in memory and in Redis.

    Tenant ids and namespaces hold no colon, so two different triples never meet in one name, whatever `key` holds.
    """
    return f"{PREFIX}:{tenant}:{namespace}:{key}".encode()
