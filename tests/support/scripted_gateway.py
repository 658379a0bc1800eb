"""A client on grpcio-testing's channel: the test plays the other side, one call at a time.

That channel is honest for synchronous clients: the client's code runs in a thread of its own and really waits.
"""

import concurrent.futures
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import grpc
import grpc_testing
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from pergola import Pergola
from pergola.chat.v1 import chat_pb2
from pergola.graph.v1 import retrieval_pb2
from pergola.vector.v1 import collection_pb2, document_pb2, job_pb2, point_pb2

T = TypeVar("T")

SERVICES = {
    service.name: service
    for module in (chat_pb2, retrieval_pb2, collection_pb2, document_pb2, job_pb2, point_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
}


class ScriptedGateway:
    """What the client calls. The methods wait for the client's next call."""

    def __init__(self) -> None:
        self.channel: Any = grpc_testing.channel(SERVICES.values(), grpc_testing.strict_real_time())
        self.client = Pergola("http://127.0.0.1:9", channel=self.channel)

    def start(self, work: Callable[[Pergola], T]) -> "concurrent.futures.Future[T]":
        """Runs the client's side."""
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                done.set_result(work(self.client))
            except BaseException as error:
                done.set_exception(error)

        # A daemon: a client that waits for an answer which a failed test never gives must not hold the session.
        threading.Thread(target=run, daemon=True).start()
        return done

    def answer(self, service: str, method: str, reply: Message) -> Any:
        """Answers the next call of a unary method; returns its request."""
        _, request, call = self.channel.take_unary_unary(_method(service, method))
        call.send_initial_metadata(())
        call.terminate(reply, (), grpc.StatusCode.OK, "")
        return request

    def refuse(self, service: str, method: str, code: grpc.StatusCode, reason: str, **details: Any) -> Any:
        """Fails the next call of a unary method as a service of Pergola does; returns its request."""
        _, request, call = self.channel.take_unary_unary(_method(service, method))
        call.send_initial_metadata(())
        call.terminate(None, trailing(code, reason, **details), code, f"message of {reason}")
        return request

    def stream(self, service: str, method: str, replies: Sequence[Message]) -> Any:
        """Answers the next call of a streaming method, and ends it well; returns its request."""
        request, call = self.open_stream(service, method)
        for reply in replies:
            call.send_response(reply)
        call.terminate((), grpc.StatusCode.OK, "")
        return request

    def open_stream(self, service: str, method: str) -> tuple[Any, "OpenStream"]:
        """Takes the next call of a streaming method: its request, and the call."""
        _, request, call = self.channel.take_unary_stream(_method(service, method))
        call.send_initial_metadata(())
        return request, OpenStream(call)


class OpenStream:
    """A streaming call, from the other side."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def send_response(self, reply: Message) -> None:
        self._call.send_response(reply)

    def terminate(self, end: Any, code: grpc.StatusCode, details: str) -> None:
        self._call.terminate(end, code, details)

    def fail(self, code: grpc.StatusCode, reason: str) -> None:
        """Ends it badly. What the client has not read by now is lost: this channel tells an error at once."""
        self._call.terminate(trailing(code, reason), code, f"message of {reason}")

    def cancelled(self) -> None:
        """Returns when the client has cancelled it."""
        self._call.cancelled()


def trailing(
    code: grpc.StatusCode,
    reason: str,
    *,
    violations: Sequence[tuple[str, str]] = (),
    retry_after: float | None = None,
    request_id: str = "request-1",
) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata with which a service of Pergola fails a call."""
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=reason, domain="pergola")]
    if violations:
        bad = error_details_pb2.BadRequest()
        for field, description in violations:
            bad.field_violations.add(field=field, description=description)
        details.append(bad)
    if retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=code.value[0], message=f"message of {reason}")
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return (("x-request-id", request_id), ("grpc-status-details-bin", status.SerializeToString()))


def _method(service: str, method: str) -> Any:
    return SERVICES[service].methods_by_name[method]
