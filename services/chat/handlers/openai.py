"""`pergola.chat.v1.OpenAIService`: HttpBody in, HttpBody out."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import unquote

from google.api import httpbody_pb2

from pergola.chat.v1 import openai_pb2, openai_pb2_grpc
from services.chat.conversation import Pace
from services.chat.openai_face import shapes
from services.chat.openai_face.completion import Completions
from services.chat.openai_face.request import CompletionRequest
from services.chat.pacing import Heartbeat, Paced
from services.providers.registry import ChatModels
from services.runtime import call
from services.runtime.errors import ErrorFields, fields
from services.runtime.policy import Policy
from services.runtime.roles import Role

SERVICE: Final = "pergola.chat.v1.OpenAIService"
PIECE: Final = 1024 * 1024
"""Bytes of one message of an answer that is not streamed."""


def error_response(failed: ErrorFields) -> openai_pb2.CreateChatCompletionResponse:
    """The last event of a stream that failed after its first."""
    return _events(shapes.error_event(failed))


POLICIES: Final = {"CreateChatCompletion": Policy(role=Role.READER, in_band=error_response)}


class OpenAIHandlers(openai_pb2_grpc.OpenAIServiceServicer):
    """Handlers of the service."""

    def __init__(self, completions: Completions, models: ChatModels, pace: Pace) -> None:
        self._completions = completions
        self._models = models
        self._pace = pace
        self._created = int(time.time())

    async def CreateChatCompletion(
        self, request: openai_pb2.CreateChatCompletionRequest, _context: Any
    ) -> AsyncGenerator[openai_pb2.CreateChatCompletionResponse, None]:
        asked = CompletionRequest(request.body.data)
        request_id = call.current().request_id
        if not asked.stream:
            answer = await self._completions.whole(asked, request_id)
            for start in range(0, len(answer), PIECE):
                yield _response(shapes.JSON, answer[start : start + PIECE])
            return
        paced = Paced(
            self._completions.streamed(asked, request_id),
            heartbeat=self._pace.heartbeat,
            interval=self._pace.interval,
            seconds=call.remaining(),
        )
        began = False
        try:
            async with aclosing(paced.items()) as pieces:
                async for piece in pieces:
                    yield _events(shapes.KEEP_ALIVE if isinstance(piece, Heartbeat) else piece)
                    began = True
        except Exception as error:
            # For HTTP callers the runtime sends this event itself.
            if began and call.current().face == "grpc":
                yield error_response(fields(error))
            raise

    async def ListModels(self, _request: openai_pb2.ListModelsRequest, _context: Any) -> openai_pb2.ListModelsResponse:
        body = shapes.models_body(await self._models.list(), self._created)
        return openai_pb2.ListModelsResponse(body=_body(shapes.JSON, body))

    async def GetModel(self, request: openai_pb2.GetModelRequest, _context: Any) -> openai_pb2.GetModelResponse:
        # Clients encode the slash in `ollama/llama3.2`, and the gateway leaves it so.
        model = request.model if call.current().face == "grpc" else unquote(request.model)
        body = shapes.model_body(await self._models.info(model), self._created)
        return openai_pb2.GetModelResponse(body=_body(shapes.JSON, body))


def _body(content_type: str, data: bytes) -> Any:
    return httpbody_pb2.HttpBody(content_type=content_type, data=data)


def _response(content_type: str, data: bytes) -> openai_pb2.CreateChatCompletionResponse:
    return openai_pb2.CreateChatCompletionResponse(body=_body(content_type, data))


def _events(data: bytes) -> openai_pb2.CreateChatCompletionResponse:
    return _response(shapes.EVENT_STREAM, data)
