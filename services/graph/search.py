"""SearchEntities: names by their normal form."""

from services.graph.extraction.text import normal_form
from services.graph.model import Entity
from services.graph.store import Reader


async def search_entities(store: Reader, tenant: str, graph: str, query: str, limit: int) -> list[Entity]:
    """The entity of exactly this name first, then those whose name begins with it, most mentioned first."""
    key = normal_form(query)
    # Punctuation alone is the beginning of no name.
    return await store.search(tenant, graph, key, limit) if key else []
