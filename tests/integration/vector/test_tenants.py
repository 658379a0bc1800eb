"""Two tenants that try to reach each other's data: through the service, and past it with the service's own login."""
# ruff: noqa: S608 - the names of tables are this file's

import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import NamedTuple
from uuid import uuid4

import asyncpg
import grpc
import pytest

from pergola.vector.v1 import (
    change_pb2,
    collection_pb2,
    document_pb2,
    embedding_pb2,
    job_pb2,
    point_pb2,
    selection_pb2,
)
from services.vector.stores import uploads
from services.vector.stores.database.connections import Database
from tests.stacks import Stores
from tests.support.vector import Vector, caller, database_of, status, vector_service

_CALLERS = {
    "acme": (["acme"], ["writer"]),
    "globex": (["globex"], ["writer"]),
    "visitor": (["acme"], ["reader"]),
    "graph": ("*", ["service"]),
}
_TABLES = (
    "collections",
    "requests",
    "consumers",
    "documents",
    "jobs",
    "job_documents",
    "job_events",
    "job_notes",
    "uploads",
    "upload_parts",
)


class House(NamedTuple):
    acme: Vector
    globex: Vector
    visitor: Vector
    graph: Vector
    database: Database


@pytest.fixture(scope="module")
async def house(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    keys = {name: secrets.token_hex(16) for name in _CALLERS}
    entries = [
        {
            "name": name,
            "key_sha256": hashlib.sha256(keys[name].encode()).hexdigest(),
            "tenants": tenants,
            "roles": roles,
        }
        for name, (tenants, roles) in _CALLERS.items()
    ]
    file = tmp_path_factory.mktemp("callers") / "callers.json"
    file.write_text(json.dumps({"callers": entries}))
    environ = await stores.own_database()
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(vector_service(environ, callers_file=str(file)))
        database = await stack.enter_async_context(database_of(environ))
        callers = {
            name: await stack.enter_async_context(caller(address, {"authorization": f"Bearer {key}"}))
            for name, key in keys.items()
        }
        for tenant in ("acme", "globex"):
            await callers[tenant].create("shared-name", graph=True)
            # One document fails and one consumer acknowledges, so that each shared table has rows of both.
            await callers[tenant].accept("shared-name", f"The secret of {tenant}.", " ", request_id="r")
            (job,) = (
                await callers[tenant].jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=callers[tenant].metadata)
            ).jobs
            await callers[tenant].ended(job.id)
            incarnation = (await callers[tenant].get("shared-name")).incarnation
            ack = change_pb2.AckChangesRequest(
                collection="shared-name", consumer="c", cursor=change_pb2.ChangeCursor(incarnation=incarnation, seq=1)
            )
            await callers[tenant].changes.AckChanges(ack, metadata=callers[tenant].metadata)
            # A file on its way.
            async with database.transaction(tenant) as session:
                upload = str(uuid4())
                await uploads.begin(session, tenant, upload)
                await uploads.add(session, tenant, upload, 0, b"secret")
        yield House(**callers, database=database)


async def test_each_tenant_has_its_own_collection_of_the_same_name(house: House) -> None:
    for one, name in ((house.acme, "acme"), (house.globex, "globex")):
        found = await one.query("shared-name", text="secret", k=10)
        assert [point.point.chunk.text for point in found] == [f"The secret of {name}."]
        listed = await one.collections.ListCollections(collection_pb2.ListCollectionsRequest(), metadata=one.metadata)
        assert [(c.name, c.point_count) for c in listed.collections] == [("shared-name", 1)]
        jobs = await one.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=one.metadata)
        assert len(jobs.jobs) == 1


async def test_what_another_tenant_has_does_not_exist(house: House) -> None:
    (job,) = (await house.acme.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=house.acme.metadata)).jobs
    (point,) = await house.acme.query("shared-name", text="secret")
    document = point.point.chunk.document
    await house.acme.create("acme-only")
    them = house.globex

    async def upload() -> None:
        # Begun when it is awaited: a stream that fails before its sender ran leaves a coroutine behind.
        first = document_pb2.UploadDocumentRequest(collection="acme-only", name="a")
        await them.documents.UploadDocument(iter([first]), metadata=them.metadata)

    for call in (
        them.jobs.GetJob(job_pb2.GetJobRequest(id=job.id), metadata=them.metadata),
        them.jobs.WatchJob(job_pb2.WatchJobRequest(id=job.id), metadata=them.metadata).read(),
        them.query("acme-only", text="secret"),
        them.accept("acme-only", "intruder"),
        them.documents.GetDocument(
            document_pb2.GetDocumentRequest(collection="shared-name", id=document), metadata=them.metadata
        ),
        them.documents.DeleteDocument(
            document_pb2.DeleteDocumentRequest(collection="shared-name", id=document), metadata=them.metadata
        ),
        them.documents.ListDocuments(document_pb2.ListDocumentsRequest(collection="acme-only"), metadata=them.metadata),
        upload(),
        them.delete("acme-only"),
        them.watch("acme-only").read(),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            await call
        assert status(caught.value)[0] == "NOT_FOUND"
    reply = await them.points.GetPoints(
        point_pb2.GetPointsRequest(collection="shared-name", ids=[point.point.id]), metadata=them.metadata
    )
    assert list(reply.missing) == [point.point.id]


async def test_points_of_another_tenant_are_out_of_reach(house: House) -> None:
    """Neither in a collection of one's own of the same name, nor with a role that only reads."""
    name, vector = "points-of-two", point_pb2.Vector(values=[1, 0])
    upsert = point_pb2.UpsertPointsRequest(collection=name, points=[point_pb2.NewPoint(id="same", vector=vector)])
    for one in (house.acme, house.globex):
        await one.create(name, dimension=2)
        await one.points.UpsertPoints(upsert, metadata=one.metadata)
    writes = (
        ("UpsertPoints", upsert),
        ("SetPayload", selection_pb2.SetPayloadRequest(collection=name, ids=["same"], delete_keys=["a"])),
        ("DeletePoints", selection_pb2.DeletePointsRequest(collection=name, ids=["same"])),
    )
    for method, request in writes:
        with pytest.raises(grpc.RpcError) as caught:
            await getattr(house.visitor.points, method)(request, metadata=house.visitor.metadata)
        assert status(caught.value) == ("PERMISSION_DENIED", "ROLE_REQUIRED")
        await getattr(house.globex.points, method)(request, metadata=house.globex.metadata)
    counted = selection_pb2.CountPointsRequest(collection=name)
    scroll = point_pb2.ScrollPointsRequest(collection=name)
    for one, there in ((house.acme, ["same"]), (house.visitor, ["same"]), (house.globex, [])):
        assert (await one.points.CountPoints(counted, metadata=one.metadata)).count == len(there)
        call = one.points.ScrollPoints(scroll, metadata=one.metadata)
        assert [each.id async for message in call for each in message.points] == there


async def test_the_name_of_a_foreign_tenant_is_refused(house: House) -> None:
    forged = (*house.acme.metadata, ("x-pergola-tenant", "globex"))
    with pytest.raises(grpc.RpcError) as caught:
        await house.acme.collections.ListCollections(collection_pb2.ListCollectionsRequest(), metadata=forged)
    assert status(caught.value) == ("PERMISSION_DENIED", "TENANT_FORBIDDEN")


async def test_a_reader_reads_and_does_not_write(house: House) -> None:
    visitor = house.visitor
    assert await visitor.query("shared-name", text="secret")
    embed = embedding_pb2.EmbedRequest(texts=["a"])
    assert (await visitor.embeddings.Embed(embed, metadata=visitor.metadata)).dimension == 384
    head = change_pb2.ChangeCursor(incarnation="x", seq=0)
    ack = change_pb2.AckChangesRequest(collection="shared-name", consumer="v", cursor=head)
    build = document_pb2.BuildIndexRequest(collection="shared-name", documents=["a"])
    for call in (
        visitor.create("mine"),
        visitor.delete("shared-name"),
        visitor.accept("shared-name", "a"),
        visitor.documents.BuildIndex(build, metadata=visitor.metadata),
        visitor.changes.AckChanges(ack, metadata=visitor.metadata),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            await call
        assert status(caught.value) == ("PERMISSION_DENIED", "ROLE_REQUIRED")


async def test_only_a_service_sees_the_sources_of_all_tenants(house: House) -> None:
    request = change_pb2.ListChangeSourcesRequest()
    with pytest.raises(grpc.RpcError) as caught:
        await house.acme.changes.ListChangeSources(request, metadata=house.acme.metadata)
    assert status(caught.value) == ("PERMISSION_DENIED", "ROLE_REQUIRED")
    reply = await house.graph.changes.ListChangeSources(request, metadata=house.graph.metadata)
    assert [(source.tenant, source.collection, source.head.seq) for source in reply.sources] == [
        ("acme", "shared-name", 1),
        ("globex", "shared-name", 1),
    ]
    for tenant in ("acme", "globex"):
        acting = (*house.graph.metadata, ("x-pergola-tenant", tenant))
        watch = change_pb2.WatchChangesRequest(collection="shared-name", consumer="graph")
        call = house.graph.changes.WatchChanges(watch, metadata=acting)
        event = await call.read()
        call.cancel()
        assert event.changes.items[0].upsert.chunk.text == f"The secret of {tenant}."


async def test_the_same_request_id_of_two_tenants_is_two(house: House) -> None:
    jobs = {await one.accept("shared-name", "Same.", request_id="both") for one in (house.acme, house.globex)}
    assert len(jobs) == 2


@pytest.mark.parametrize("table", _TABLES)
async def test_the_database_itself_keeps_tenants_apart(house: House, table: str) -> None:
    async with house.database.transaction("acme") as session:
        tenants = {row["tenant"] for row in await session.fetch(f"SELECT tenant FROM pergola.{table}")}
    assert tenants == {"acme"}
    async with house.database.transaction("initech") as session:
        assert await session.fetch(f"SELECT 1 FROM pergola.{table}") == []
        await session.execute(f"DELETE FROM pergola.{table}")
    # The owner of the tables is held to it as well.
    async with house.database.owner("initech") as session:
        assert await session.fetch(f"SELECT 1 FROM pergola.{table}") == []
    async with house.database.session() as session:
        with pytest.raises(asyncpg.PostgresError, match=r"pergola\.tenant"):
            await session.fetch(f"SELECT 1 FROM pergola.{table}")


async def test_no_shared_table_was_forgotten(house: House) -> None:
    async with house.database.session() as session:
        rows = await session.fetch(
            "SELECT relname, relrowsecurity AND relforcerowsecurity AS held FROM pg_class"
            " WHERE relnamespace = 'pergola'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'migrations'"
        )
    assert {row["relname"]: row["held"] for row in rows} == dict.fromkeys(_TABLES, True)


async def test_rows_can_not_be_written_for_another_tenant(house: House) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with house.database.transaction("acme") as session:
            await session.execute(
                "INSERT INTO pergola.consumers (tenant, collection, consumer, incarnation, seq)"
                " VALUES ('globex', 'c', 'c', 'i', 1)"
            )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with house.database.transaction("acme") as session:
            await session.execute("UPDATE pergola.collections SET tenant = 'globex'")


async def test_looking_across_tenants_reads_two_tables_and_writes_none(house: House) -> None:
    async with house.database.across_tenants() as session:
        for table in _TABLES:
            tenants = {row["tenant"] for row in await session.fetch(f"SELECT tenant FROM pergola.{table}")}
            assert tenants == ({"acme", "globex"} if table in ("collections", "jobs") else set())
        for table in ("collections", "jobs"):
            await session.execute(f"DELETE FROM pergola.{table}")
            await session.execute(f"UPDATE pergola.{table} SET created = now()")
            assert len(await session.fetch(f"SELECT 1 FROM pergola.{table}")) >= 2
    assert await house.acme.query("shared-name", text="secret")


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE pergola.jobs",
        "ALTER TABLE pergola.jobs DISABLE ROW LEVEL SECURITY",
        "DROP POLICY own_tenant ON pergola.jobs",
        "CREATE TABLE points.mine (a int)",
        "SET SESSION AUTHORIZATION postgres",
        "UPDATE pergola.migrations SET sha256 = ''",
    ],
)
async def test_the_login_of_the_service_can_not_change_that(house: House, sql: str) -> None:
    async with house.database.session() as session:
        with pytest.raises(asyncpg.PostgresError) as caught:
            await session.execute(sql)
    assert isinstance(caught.value, asyncpg.InsufficientPrivilegeError)


async def test_no_name_of_a_tenant_gets_into_a_statement_unseen(house: House) -> None:
    for name in ("*", "a'; DROP TABLE pergola.jobs; --", "", "A"):
        with pytest.raises(ValueError, match="no name of a tenant"):
            async with house.database.transaction(name):
                pass
