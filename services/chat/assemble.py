"""Puts the chat service together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pergola.chat.v1 import chat_pb2_grpc, openai_pb2_grpc
from services.chat.answering import Answering
from services.chat.conversation import Pace
from services.chat.exact_answers import ExactAnswers
from services.chat.grounding.retrieving import Retrieving
from services.chat.handlers import chat, openai
from services.chat.meters import Meters
from services.chat.openai_face.completion import Completions
from services.chat.peers.cache import CacheAnswers
from services.chat.peers.graph import GraphFinder
from services.chat.peers.vector import VectorFinder
from services.chat.settings import ChatSettings
from services.providers.openai_compatible import Limits
from services.providers.registry import open_chat_models
from services.runtime.start import Runtime, Servicer


@asynccontextmanager
async def assemble(settings: ChatSettings, runtime: Runtime[ChatSettings]) -> AsyncIterator[Sequence[Servicer]]:
    """The service over its peers and the configured models.

    Raises:
        SettingsError: a peer's address is missing.
    """
    limits = Limits(
        connect=settings.provider_connect_seconds,
        first_byte=settings.provider_first_byte_seconds,
        idle=settings.provider_idle_seconds,
        connections=settings.provider_connections,
        body_bytes=settings.provider_body_bytes,
    )
    retrieving = Retrieving(
        GraphFinder(runtime.connect("graph"), settings.retrieval_seconds / 2),
        VectorFinder(runtime.connect("vector"), settings.retrieval_seconds),
    )
    answers = ExactAnswers(CacheAnswers(runtime.connect("cache"), settings.kept_answer_seconds))
    pace = Pace(settings.heartbeat_seconds, settings.piece_interval_seconds, settings.answer_seconds)
    meters = Meters(runtime.metrics)
    async with open_chat_models(settings.chat_models(), default=settings.default_model, limits=limits) as models:
        answering = Answering(
            models,
            retrieving,
            answers,
            meters,
            passage_chars=settings.passage_chars,
            answer_chars=settings.answer_chars,
        )
        yield [
            Servicer(
                chat.SERVICE,
                chat.ChatHandlers(answering, pace, settings.conversation_chars),
                chat_pb2_grpc.add_ChatServiceServicer_to_server,
                chat.policies(settings.stream_deadline_seconds),
            ),
            Servicer(
                openai.SERVICE,
                openai.OpenAIHandlers(Completions(answering, meters), models, pace),
                openai_pb2_grpc.add_OpenAIServiceServicer_to_server,
                openai.POLICIES,
            ),
        ]
