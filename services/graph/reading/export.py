"""A whole graph as JSON Lines.

Read in pages, each a transaction of its own: nothing is held but one page, and nothing waits for the reader. So this is
no picture of one moment: what is neither written nor removed meanwhile comes exactly once; what is may come or not. An
entity that a relation names may have gone before it was reached.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from services.graph.model import Entity, Relation
from services.graph.store import Reader

_ENTITIES_AT_ONCE: Final = 500
_ROWS_AT_ONCE: Final = 2000
_PART_BYTES: Final = 64 * 1024

_encode: Final = msgspec.json.Encoder().encode


async def export(store: Reader, tenant: str, graph: str, *, with_mentions: bool) -> AsyncGenerator[bytes, None]:
    """Whole lines, each an object of one field: `entity` and the `mention`s of entities, then `relation`; the last line
    is the `summary`.

    Raises StoreUnavailable, DeadlineExceeded.
    """
    entities = mentions = relations = 0
    async for page in _pages(store, tenant, graph):
        entities += len(page)
        for part in _lines("entity", map(_entity, page)):
            yield part
        mentioned = [one.key for one in page if one.mention_count] if with_mentions else []
        async for some in _mentions(store, tenant, graph, mentioned):
            mentions += len(some)
            for part in _lines("mention", some):
                yield part
    async for page in _pages(store, tenant, graph):
        async for found in _relations(store, tenant, graph, [one.key for one in page]):
            relations += len(found)
            for part in _lines("relation", map(_relation, found)):
                yield part
    counts = {"entity_count": entities, "relation_count": relations}
    if with_mentions:
        counts["mention_count"] = mentions
    for part in _lines("summary", [{"graph": graph, **counts}]):
        yield part


async def _pages(store: Reader, tenant: str, graph: str) -> AsyncGenerator[list[Entity], None]:
    after = ""
    while True:
        page, after = await store.page(tenant, graph, after, _ENTITIES_AT_ONCE)
        if page:
            yield page
        if not after:
            return


async def _mentions(
    store: Reader, tenant: str, graph: str, keys: Sequence[str]
) -> AsyncGenerator[list[dict[str, Any]], None]:
    after = ("", "")
    while keys:
        found = await store.mentioned(tenant, graph, keys, after, _ROWS_AT_ONCE)
        yield [{"entity": key, "document": one.document, "chunk": one.chunk, "text": one.text} for key, _, one in found]
        if len(found) < _ROWS_AT_ONCE:
            return
        after = found[-1][:2]


async def _relations(
    store: Reader, tenant: str, graph: str, keys: Sequence[str]
) -> AsyncGenerator[list[Relation], None]:
    after: Relation | None = None
    while True:
        found = await store.related(tenant, graph, keys, after, _ROWS_AT_ONCE)
        yield found
        if len(found) < _ROWS_AT_ONCE:
            return
        after = found[-1]


def _entity(one: Entity) -> dict[str, Any]:
    return _told(
        key=one.key,
        name=one.name,
        type=one.type,
        aliases=list(one.aliases),
        properties=one.properties,
        manual=one.manual,
        mention_count=one.mention_count,
    )


def _relation(one: Relation) -> dict[str, Any]:
    return _told(
        source=one.source,
        target=one.target,
        type=one.type,
        weight=one.weight,
        properties=one.properties,
        manual=one.manual,
    )


def _told(**fields: object) -> dict[str, Any]:
    """Without what is empty, as the other RPCs answer."""
    return {name: value for name, value in fields.items() if value not in ("", [], {}, False)}


def _lines(kind: str, values: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Lines in parts of about `_PART_BYTES`."""
    part = bytearray()
    for value in values:
        part += _encode({kind: value})
        part += b"\n"
        if len(part) >= _PART_BYTES:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)
