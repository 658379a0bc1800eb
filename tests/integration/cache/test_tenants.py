"""Two tenants on one service, one memory and one Redis: neither sees, changes or deletes what is the other's."""

import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from pergola.cache.v1 import cache_pb2 as pb
from tests.stacks import Stores
from tests.support.cache import Replica, reason, replica

CALLERS = {
    "acme": ("writer", ["acme"]),
    "umbrella": ("writer", ["umbrella"]),
    "reader": ("reader", ["acme"]),
    "both": ("writer", ["acme", "umbrella"]),
    "peer": ("service", "*"),
}


def key_of(caller: str) -> str:
    return f"{caller}-key-of-a-test-with-enough-letters"


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("callers") / "callers.json"
    entries = [
        {
            "name": name,
            "key_sha256": hashlib.sha256(key_of(name).encode()).hexdigest(),
            "roles": [role],
            "tenants": tenants,
        }
        for name, (role, tenants) in CALLERS.items()
    ]
    file.write_text(json.dumps({"callers": entries}))
    return file


@pytest_asyncio.fixture(scope="module")
async def cache(stores: Stores, callers: Path) -> AsyncIterator[Replica]:
    async with replica(stores, "tenants", callers_file=str(callers), staleness_bound_seconds="30") as running:
        yield running


def as_(caller: str, tenant: str | None = None) -> dict[str, Any]:
    metadata = [("authorization", f"Bearer {key_of(caller)}")]
    if tenant is not None:
        metadata.append(("x-pergola-tenant", tenant))
    return {"metadata": metadata}


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


def setting(key: str, text: str) -> pb.SetRequest:
    return pb.SetRequest(namespace="tenants", key=key, value=pb.Value(text=text))


async def text(cache: Replica, key: str, who: dict[str, Any]) -> str | None:
    reply = await cache.stub.Get(pb.GetRequest(namespace="tenants", key=key), **who)
    many = await cache.stub.GetMany(pb.GetManyRequest(namespace="tenants", keys=[key]), **who)
    one = reply.entry.value.text if reply.HasField("entry") else None
    assert [entry.value.text for entry in many.entries] == ([] if one is None else [one])
    return one


async def test_the_same_name_is_another_value_in_another_tenant(cache: Replica, key: str) -> None:
    await cache.stub.Set(setting(key, "acme's"), **as_("acme"))
    assert await text(cache, key, as_("umbrella")) is None
    await cache.stub.Set(setting(key, "umbrella's"), **as_("umbrella"))
    assert await text(cache, key, as_("acme")) == "acme's"
    assert await text(cache, key, as_("umbrella")) == "umbrella's"
    assert await text(cache, key, as_("both", "umbrella")) == "umbrella's"
    deleted = await cache.stub.Delete(pb.DeleteRequest(namespace="tenants", key=key), **as_("umbrella"))
    assert deleted.deleted
    assert await text(cache, key, as_("acme")) == "acme's"
    assert await text(cache, key, as_("peer", "acme")) == "acme's", "a service acts for the tenant it names"


async def test_names_made_to_look_like_another_tenants_do_not_reach_it(cache: Replica, key: str) -> None:
    await cache.stub.Set(setting(key, "acme's"), **as_("acme"))
    for forged in (f"acme:tenants:{key}", f"../acme/tenants/{key}", f":acme:tenants:{key}"):
        assert await text(cache, forged, as_("umbrella")) is None


@pytest.mark.parametrize(
    ("who", "code", "why"),
    [
        ({}, grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
        (as_("nobody"), grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
        (as_("acme", "umbrella"), grpc.StatusCode.PERMISSION_DENIED, "TENANT_FORBIDDEN"),
    ],
)
async def test_others_are_refused(
    cache: Replica, key: str, who: dict[str, Any], code: grpc.StatusCode, why: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await cache.stub.Get(pb.GetRequest(namespace="tenants", key=key), **who)
    assert (caught.value.code(), reason(caught.value)) == (code, why)


async def test_a_reader_reads_and_does_not_write(cache: Replica, key: str) -> None:
    await cache.stub.Set(setting(key, "acme's"), **as_("acme"))
    assert await text(cache, key, as_("reader")) == "acme's"
    many = pb.SetManyRequest(namespace="tenants", entries=[pb.SetManyEntry(key=key, value=pb.Value(text="x"))])
    for call in (
        cache.stub.Set(setting(key, "x"), **as_("reader")),
        cache.stub.SetMany(many, **as_("reader")),
        cache.stub.Delete(pb.DeleteRequest(namespace="tenants", key=key), **as_("reader")),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert (caught.value.code(), reason(caught.value)) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")
    assert await text(cache, key, as_("acme")) == "acme's"
