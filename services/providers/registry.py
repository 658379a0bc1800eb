"""Every chat model there is, by the name callers use."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from services.providers.chat_model import ChatModel
from services.providers.chat_models import ChatModelSpec
from services.providers.extractive import ExtractiveModel
from services.providers.openai_compatible import Endpoint, Limits, OpenAICompatibleModel
from services.runtime.errors import ModelNotFound, PergolaError

log = logging.getLogger(__name__)

LISTING_SECONDS: Final = 60.0
"""How long an endpoint's listing of its models is believed."""
FAILED_LISTING_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as it is listed."""

    id: str
    owner: str


class ChatModels:
    """Finds models by name. Entries with a whole name win over patterns, longer patterns over shorter ones."""

    def __init__(self, default: str, exact: Sequence[ChatModel], patterns: Sequence["_Pattern"]) -> None:
        self.default = default
        self._exact = {model.id: model for model in exact}
        self._patterns = sorted(patterns, key=lambda pattern: -len(pattern.spec.id))

    def get(self, name: str) -> ChatModel:
        """The model called `name`; the default one for an empty name.

        Raises:
            ModelNotFound: no entry has this name, nor a pattern for it.
        """
        name = name or self.default
        found = self._exact.get(name)
        if found is not None:
            return found
        for pattern in self._patterns:
            if pattern.spec.matches(name):
                return pattern.model(name)
        known = ", ".join([*self._exact, *(pattern.spec.id for pattern in self._patterns)])
        raise ModelNotFound(f"there is no model {name[:100]!r}; there are: {known}", metadata={"model": name[:100]})

    def label(self, name: str) -> str:
        """The entry that `name` belongs to: a bounded set of names, for metrics."""
        if name in self._exact:
            return name
        return next((pattern.spec.id for pattern in self._patterns if pattern.spec.matches(name)), "unknown")

    async def info(self, name: str) -> ModelInfo:
        """The model called `name` as it is listed.

        Raises:
            ModelNotFound: there is none; for a pattern, its endpoint answers and lists none of this name.
        """
        found = self.get(name)
        if found.id not in self._exact:
            pattern = next(one for one in self._patterns if one.spec.matches(found.id))
            listed = await pattern.list()
            if listed and all(info.id != found.id for info in listed):
                raise ModelNotFound(f"its endpoint has no model {name[:100]!r}", metadata={"model": name[:100]})
        return ModelInfo(found.id, found.owner)

    async def list(self) -> list[ModelInfo]:
        """All models, those of patterns as their endpoints list them. An endpoint that does not answer leaves its
        models out; they can be used all the same."""
        listed = [ModelInfo(model.id, model.owner) for model in self._exact.values()]
        for found in await asyncio.gather(*(pattern.list() for pattern in self._patterns)):
            listed.extend(info for info in found if info.id not in self._exact)
        return listed


class _Pattern:
    """An entry whose id ends in `*`: models made as they are asked for, and listed by the endpoint."""

    def __init__(self, spec: ChatModelSpec, endpoint: Endpoint) -> None:
        self.spec = spec
        self._endpoint = endpoint
        self._listed: list[ModelInfo] = []
        self._listed_until = 0.0
        self._listing = asyncio.Lock()

    def model(self, name: str) -> ChatModel:
        return _model(self.spec, name, self._endpoint)

    async def list(self) -> list[ModelInfo]:
        async with self._listing:
            if time.monotonic() >= self._listed_until:
                try:
                    names = await self._endpoint.model_ids()
                    self._listed = [
                        ModelInfo(name, self.spec.provider) for name in filter(None, map(self.spec.public_name, names))
                    ]
                    self._listed_until = time.monotonic() + LISTING_SECONDS
                except PergolaError as error:
                    log.warning("models of %s are not listed: %s", self.spec.id, error.message)
                    self._listed = []
                    self._listed_until = time.monotonic() + FAILED_LISTING_SECONDS
            return self._listed


@asynccontextmanager
async def open_chat_models(
    specs: Sequence[ChatModelSpec],
    *,
    default: str,
    limits: Limits,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[ChatModels]:
    """The registry of `extractive` and the models of `specs`; leaving it closes their connections.

    Raises:
        ModelNotFound: `default` is none of them.
    """
    async with AsyncExitStack() as stack:
        endpoints: dict[tuple[object, ...], Endpoint] = {}
        exact: list[ChatModel] = [ExtractiveModel()]
        patterns: list[_Pattern] = []
        for spec in specs:
            key = spec.key(environ)
            own = replace(
                limits,
                first_byte=spec.first_byte_timeout or limits.first_byte,
                idle=spec.idle_timeout or limits.idle,
            )
            where = (spec.base_url, key, own)
            if where not in endpoints:
                endpoints[where] = await stack.enter_async_context(Endpoint(spec.base_url, key, own))
            if spec.is_pattern:
                patterns.append(_Pattern(spec, endpoints[where]))
            else:
                exact.append(_model(spec, spec.id, endpoints[where]))
        models = ChatModels(default, exact, patterns)
        models.get("")
        yield models


def _model(spec: ChatModelSpec, name: str, endpoint: Endpoint) -> ChatModel:
    return OpenAICompatibleModel(
        endpoint,
        id=name,
        upstream_model=spec.upstream_name(name),
        context_tokens=spec.context_tokens,
        max_tokens_field=spec.max_tokens_field,
    )
