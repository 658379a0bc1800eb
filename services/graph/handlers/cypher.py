"""pergola.graph.v1.CypherService."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import grpc

from pergola.graph.v1 import cypher_pb2, cypher_pb2_grpc
from services.graph.cypher import Batch, Columns, Cypher, Event
from services.graph.handlers.values import list_value, parameters_from
from services.runtime.call import current
from services.runtime.errors import ErrorFields
from services.runtime.policy import Policy

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_DEFAULT_ROWS: Final = 1000


class CypherHandlers(cypher_pb2_grpc.CypherServiceServicer):
    def __init__(self, cypher: Cypher) -> None:
        self._cypher = cypher

    async def RunQuery(
        self, request: cypher_pb2.RunQueryRequest, _context: Context
    ) -> AsyncIterator[cypher_pb2.RunQueryResponse]:
        max_rows = request.max_rows if request.HasField("max_rows") else _DEFAULT_ROWS
        parameters = parameters_from(request.parameters, "parameters")
        async with aclosing(self._cypher.run(current().tenant, request.query, parameters, max_rows)) as events:
            async for event in events:
                yield _response(event)

    async def ExplainQuery(
        self, request: cypher_pb2.ExplainQueryRequest, _context: Context
    ) -> cypher_pb2.ExplainQueryResponse:
        parameters = parameters_from(request.parameters, "parameters")
        plan = await self._cypher.explain(current().tenant, request.query, parameters)
        return cypher_pb2.ExplainQueryResponse(plan=plan)


def _response(event: Event) -> cypher_pb2.RunQueryResponse:
    if isinstance(event, Columns):
        return cypher_pb2.RunQueryResponse(columns=cypher_pb2.CypherColumns(names=event.names))
    if isinstance(event, Batch):
        return cypher_pb2.RunQueryResponse(
            rows=cypher_pb2.CypherRows(items=[list_value(cells) for cells in event.rows])
        )
    done = cypher_pb2.CypherSummary(row_count=event.row_count, truncated=event.truncated)
    return cypher_pb2.RunQueryResponse(done=done)


def _error(fields: ErrorFields) -> cypher_pb2.RunQueryResponse:
    return cypher_pb2.RunQueryResponse(
        error=cypher_pb2.CypherError(
            code=fields.code,
            status=fields.status,
            reason=fields.reason,
            message=fields.message,
            request_id=fields.request_id,
        )
    )


POLICIES: Final[Mapping[str, Policy]] = {"RunQuery": Policy(in_band=_error)}
