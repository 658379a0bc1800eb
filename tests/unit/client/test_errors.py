"""Failures of calls as exceptions."""

import grpc
import pytest

from pergola import AlreadyExists, InvalidArgument, PergolaError, ResourceExhausted, _errors
from tests.support.scripted_gateway import ScriptedGateway


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


def test_everything_a_status_tells_is_there(gateway: ScriptedGateway) -> None:
    found = gateway.start(lambda client: client.search(""))
    gateway.refuse(
        "PointService",
        "QueryPoints",
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_ARGUMENT",
        violations=[("text", "is required"), ("k", "is too large")],
        request_id="r-1",
    )
    with pytest.raises(InvalidArgument) as caught:
        found.result()
    error = caught.value
    assert (error.code, error.reason, error.request_id) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", "r-1")
    assert str(error) == error.message == "message of INVALID_ARGUMENT"
    assert [(one.field, one.description) for one in error.violations] == [
        ("text", "is required"),
        ("k", "is too large"),
    ]


def test_a_limit_says_when_to_come_back(gateway: ScriptedGateway) -> None:
    found = gateway.start(lambda client: client.search("q"))
    gateway.refuse("PointService", "QueryPoints", grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", retry_after=7.25)
    with pytest.raises(ResourceExhausted) as caught:
        found.result()
    assert (caught.value.reason, caught.value.retry_after) == ("RATE_LIMITED", 7.25)


def test_each_class_has_its_code() -> None:
    for code in grpc.StatusCode:
        error = _errors.make("m", code=code.name)
        assert isinstance(error, PergolaError)
        assert (error.code, error.reason) == (code.name, code.name)
    assert isinstance(_errors.make("m", code="ALREADY_EXISTS"), AlreadyExists)
    assert type(_errors.make("m", code="SOMETHING_NEW")) is PergolaError
