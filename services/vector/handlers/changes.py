"""pergola.vector.v1.ChangeService"""

from collections.abc import AsyncIterator
from typing import Final

from pergola.vector.v1 import change_pb2 as pb
from pergola.vector.v1 import change_pb2_grpc
from services.runtime import paging
from services.runtime.call import current
from services.runtime.errors import ErrorFields
from services.runtime.policy import Policy
from services.runtime.roles import Role
from services.vector.feed import Batch, Feed, Reset
from services.vector.handlers import messages
from services.vector.handlers.messages import Context
from services.vector.model import Change, Cursor

_LIST = "ListConsumers"


class ChangeHandlers(change_pb2_grpc.ChangeServiceServicer):
    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def ListChangeSources(
        self, _request: pb.ListChangeSourcesRequest, _context: Context
    ) -> pb.ListChangeSourcesResponse:
        return pb.ListChangeSourcesResponse(
            sources=[
                pb.ChangeSource(tenant=one.tenant, collection=one.collection, head=_cursor(one.head))
                for one in await self._feed.sources()
            ]
        )

    async def WatchChanges(
        self, request: pb.WatchChangesRequest, _context: Context
    ) -> AsyncIterator[pb.WatchChangesResponse]:
        after = Cursor(request.after.incarnation, request.after.seq) if request.HasField("after") else None
        events = self._feed.watch(
            current().tenant, request.collection, request.consumer, after, with_vector=request.with_vector
        )
        async for event in events:
            match event:
                case Batch():
                    changes = pb.Changes(items=[_change(one) for one in event.changes], cursor=_cursor(event.cursor))
                    yield pb.WatchChangesResponse(changes=changes)
                case Reset():
                    yield pb.WatchChangesResponse(reset=pb.ChangeReset(cursor=_cursor(event.cursor)))
                case _:
                    yield pb.WatchChangesResponse(heartbeat=pb.ChangeHeartbeat(head=_cursor(event.head)))

    async def AckChanges(self, request: pb.AckChangesRequest, _context: Context) -> pb.AckChangesResponse:
        cursor = Cursor(request.cursor.incarnation, request.cursor.seq)
        lag = await self._feed.acknowledge(current().tenant, request.collection, request.consumer, cursor)
        return pb.AckChangesResponse(lag=messages.small(lag))

    async def ListConsumers(self, request: pb.ListConsumersRequest, _context: Context) -> pb.ListConsumersResponse:
        tenant = current().tenant
        scope = (tenant, _LIST, request.collection)
        size = request.page_size if request.HasField("page_size") else paging.DEFAULT_SIZE
        after = paging.decode(request.page_token, *scope) if request.page_token else ""
        found, more = await self._feed.consumers(tenant, request.collection, after, size)
        return pb.ListConsumersResponse(
            consumers=[
                pb.Consumer(
                    consumer=one.name,
                    cursor=_cursor(one.cursor),
                    lag=messages.small(one.lag),
                    silent_seconds=messages.small(int(one.silent)),
                )
                for one in found
            ],
            next_page_token=paging.encode(found[-1].name, *scope) if more else "",
        )


def _cursor(cursor: Cursor) -> pb.ChangeCursor:
    return pb.ChangeCursor(incarnation=cursor.incarnation, seq=cursor.seq)


def _change(change: Change) -> pb.Change:
    if change.point is None:
        return pb.Change(seq=change.seq, delete=change.id)
    return pb.Change(seq=change.seq, upsert=messages.point(change.point))


def _error(fields: ErrorFields) -> pb.WatchChangesResponse:
    return pb.WatchChangesResponse(error=messages.stream_error(fields))


POLICIES: Final = {
    "ListChangeSources": Policy(role=Role.SERVICE, routine=True),
    "WatchChanges": Policy(deadline=None, in_band=_error),
}
