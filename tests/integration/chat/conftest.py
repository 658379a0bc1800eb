"""A chat service with scripted neighbours and the fake provider, one for all tests of this folder."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.fakes.provider import FakeProvider
from tests.support import chat
from tests.support.chat import ChatDoor, Neighbours


@pytest.fixture(scope="session")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@pytest_asyncio.fixture
async def neighbours() -> AsyncIterator[Neighbours]:
    async with Neighbours().serving() as running:  # type: ignore[abstract]  # it answers only what chat asks
        yield running


@pytest_asyncio.fixture
async def door(provider: FakeProvider, neighbours: Neighbours) -> AsyncIterator[ChatDoor]:
    models = chat.fake_models(provider)
    async with chat.chat_service(chat.neighbours_at(neighbours.address), models) as running:
        yield running
