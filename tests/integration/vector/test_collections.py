import grpc
import pytest

from pergola.vector.v1 import collection_pb2 as pb
from tests.support.vector import Vector, status, violations


async def test_a_collection_has_the_models_dimension_and_says_what_it_is(vector: Vector) -> None:
    name = await vector.create()
    found = await vector.get(name)
    assert (found.dimension, found.distance, found.embedding_model) == (384, "cosine", "all-minilm-l6-v2")
    assert (found.point_count, found.document_count, found.graph) == (0, 0, False)
    assert found.incarnation
    assert found.HasField("create_time")


async def test_a_name_is_taken_once(vector: Vector) -> None:
    name = await vector.create()
    with pytest.raises(grpc.RpcError) as caught:
        await vector.create(name)
    assert status(caught.value) == ("ALREADY_EXISTS", "COLLECTION_EXISTS")


async def test_the_same_request_id_gets_the_first_answer_and_another_body_is_refused(vector: Vector) -> None:
    request = pb.CreateCollectionRequest(collection=pb.Collection(name="once"), request_id="r-1")
    first = await vector.collections.CreateCollection(request)
    again = await vector.collections.CreateCollection(request)
    assert again == first
    request.collection.name = "other"
    with pytest.raises(grpc.RpcError) as caught:
        await vector.collections.CreateCollection(request)
    assert status(caught.value) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


async def test_an_idempotency_key_is_a_request_id(vector: Vector) -> None:
    request = pb.CreateCollectionRequest(collection=pb.Collection(name="by-key"))
    metadata = (("idempotency-key", "k-1"),)
    first = await vector.collections.CreateCollection(request, metadata=metadata)
    assert await vector.collections.CreateCollection(request, metadata=metadata) == first


async def test_a_failed_create_leaves_the_request_id_free(vector: Vector) -> None:
    taken = await vector.create()
    with pytest.raises(grpc.RpcError):
        await vector.collections.CreateCollection(
            pb.CreateCollectionRequest(collection=pb.Collection(name=taken), request_id="r-2")
        )
    reply = await vector.collections.CreateCollection(
        pb.CreateCollectionRequest(collection=pb.Collection(name=f"{taken}-b"), request_id="r-2")
    )
    assert reply.collection.name == f"{taken}-b"


async def test_pages_go_through_all_collections_in_the_order_of_their_names(vector: Vector) -> None:
    names = [await vector.create(f"page-{letter}") for letter in "cab"]
    seen: list[str] = []
    token = ""
    while True:
        reply = await vector.collections.ListCollections(pb.ListCollectionsRequest(page_size=2, page_token=token))
        seen += [one.name for one in reply.collections]
        token = reply.next_page_token
        if not token:
            break
    assert seen == sorted(seen)
    assert set(names) <= set(seen)


@pytest.mark.parametrize("token", ["x", "eyJ4Ijo", "WyJhIiwiYiJd"])
async def test_a_page_token_of_elsewhere_is_refused(vector: Vector, token: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await vector.collections.ListCollections(pb.ListCollectionsRequest(page_token=token))
    assert status(caught.value) == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")
    assert violations(caught.value) == ["page_token"]


async def test_a_deleted_collection_is_gone_and_its_name_is_free(vector: Vector) -> None:
    name = await vector.create()
    before = (await vector.get(name)).incarnation
    await vector.delete(name)
    for call in (vector.get(name), vector.delete(name), vector.query(name, text="x")):
        with pytest.raises(grpc.RpcError) as caught:
            await call
        assert status(caught.value) == ("NOT_FOUND", "COLLECTION_NOT_FOUND")
    await vector.create(name)
    assert (await vector.get(name)).incarnation != before


async def test_a_dimension_that_is_not_the_models_is_refused_when_the_model_is_named(vector: Vector) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await vector.create(dimension=3, embedding_model="all-minilm-l6-v2")
    assert status(caught.value) == ("INVALID_ARGUMENT", "DIMENSION_MISMATCH")


async def test_an_unknown_model_is_refused(vector: Vector) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await vector.create(embedding_model="gpt-none")
    assert status(caught.value) == ("NOT_FOUND", "MODEL_NOT_FOUND")


@pytest.mark.parametrize("fields", [{"name": "Upper"}, {"name": ""}, {"name": "a", "dimension": 4001}])
async def test_a_broken_rule_names_its_field(vector: Vector, fields: dict[str, object]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await vector.collections.CreateCollection(
            pb.CreateCollectionRequest(collection=pb.Collection(**fields))  # type: ignore[arg-type]
        )
    assert status(caught.value)[0] == "INVALID_ARGUMENT"
    assert violations(caught.value)
