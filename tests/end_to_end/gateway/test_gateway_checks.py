"""What the gateway refuses before a service sees it, and in which words."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.end_to_end.gateway.conftest import ORIGIN
from tests.end_to_end.gateway.envoys import Gateway
from tests.end_to_end.gateway.upstream import Book

JSON = {"content-type": "application/json"}
QUESTION = {"messages": [{"role": "user", "content": "why?"}]}


async def refused(http: aiohttp.ClientSession, method: str, path: str, status: int, **request: Any) -> dict[str, Any]:
    """The error of an answer with `status`, in the shape of its door."""
    async with http.request(method, path, **request) as response:
        text = await response.text()
        assert response.status == status, text
        assert response.headers["content-type"] == "application/json"
        error: dict[str, Any] = json.loads(text)["error"]
        # A request that cannot even be read gets no id.
        assert error["request_id"] == response.headers.get("x-request-id")
        if path.startswith("/v1"):
            assert set(error) == {"message", "type", "param", "code", "request_id"}
        else:
            assert error["code"] == status
            assert set(error) >= {"code", "status", "reason", "message", "request_id"}
        return error


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:99", "127.0.0.1:1", "[::1]:8080", "Pergola.Example.com", "a.b.example.org:80"]
)
async def test_hosts_that_are_accepted(http: aiohttp.ClientSession, host: str) -> None:
    async with http.get("/api/collections", headers={"host": host}) as response:
        assert response.status == 200


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1.nip.io", "localhost.evil.com", "example.org", ""])
async def test_other_hosts_are_misdirected(http: aiohttp.ClientSession, book: Book, host: str) -> None:
    error = await refused(http, "GET", "/api/collections", 421, headers={"host": host})
    assert error["reason"] == "HOST_NOT_ALLOWED"
    assert "PERGOLA_GATEWAY_ALLOWED_HOSTS" in error["message"]
    assert book.seen == []


async def test_health_is_told_to_any_host(http: aiohttp.ClientSession) -> None:
    for path, status in (("/healthz", "alive"), ("/readyz", "ready")):
        async with http.get(path, headers={"host": "10.0.0.1:8080"}) as response:
            assert response.status == 200
            assert response.headers["content-type"] == "application/json"
            assert (await response.json())["status"] == status


@pytest.mark.parametrize("origin", ["https://evil.com", "null", "http://app.example.com", f"{ORIGIN}.evil.com"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/api/collections"), ("POST", "/v1/chat/completions")])
async def test_other_origins_are_refused(
    http: aiohttp.ClientSession, book: Book, method: str, path: str, origin: str
) -> None:
    error = await refused(http, method, path, 403, headers={"origin": origin})
    assert "PERGOLA_GATEWAY_ALLOWED_ORIGINS" in error["message"]
    assert book.seen == []


async def test_the_gateways_own_pages_and_allowed_origins_are_accepted(
    http: aiohttp.ClientSession, gateway: Gateway
) -> None:
    for origin in (gateway.url, ORIGIN):
        async with http.get("/api/collections", headers={"origin": origin}) as response:
            assert response.status == 200
    error = await refused(http, "GET", "/api/collections", 403, headers={"origin": f"https://{gateway.address}"})
    assert error["reason"] == "ORIGIN_NOT_ALLOWED"


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/jsonp"},
        {"content-type": ""},
        {"content-type": "text/plain, application/json"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
async def test_bodies_other_than_json_are_refused(
    http: aiohttp.ClientSession, book: Book, path: str, headers: dict[str, str]
) -> None:
    await refused(http, "POST", path, 415, headers=headers, data=json.dumps(QUESTION))
    assert book.seen == []


async def test_a_body_without_content_type_is_refused(gateway: Gateway, book: Book) -> None:
    # A page can send such a body without asking first; aiohttp always sets a content type.
    body = json.dumps(QUESTION).encode()
    for rest in (
        b"content-length: %d\r\n\r\n%s" % (len(body), body),
        b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
    ):
        reader, writer = await asyncio.open_connection(*gateway.address.split(":"))
        writer.write(b"POST /api/chat HTTP/1.1\r\nhost: localhost\r\n" + rest)
        assert (await reader.readline()).split()[1] == b"415"
        writer.close()
    assert book.seen == []


async def test_json_with_parameters_is_json(http: aiohttp.ClientSession) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    async with http.post("/api/chat", data=json.dumps(QUESTION), headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize("path", ["/", "/api", "/api/nothing", "/api/chat/", "/v1", "/v1/nothing", "/v1/models/"])
async def test_unknown_routes(http: aiohttp.ClientSession, path: str) -> None:
    error = await refused(http, "GET", path, 404)
    if path.startswith("/v1"):
        assert (error["code"], error["type"]) == ("route_not_found", "invalid_request_error")
    else:
        assert (error["status"], error["reason"]) == ("NOT_FOUND", "ROUTE_NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/api/chat", "POST"), ("PUT", "/api/collections", "GET, POST"), ("DELETE", "/v1/models", "GET")],
)
async def test_wrong_methods(http: aiohttp.ClientSession, method: str, path: str, allow: str) -> None:
    error = await refused(http, method, path, 405)
    assert allow in error["message"]
    async with http.request(method, path) as response:
        assert response.headers["allow"] == allow


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"messages": [', "Unexpected end"),
        ('{"messages": 3}', "messages"),
        ('{"messages": [{"role": ["user"]}]}', "messages[0]"),
        ('{"temperature": "warm"}', "temperature"),
        ("[]", "cannot start list"),
        ('{"messages": ' * 200, ""),
    ],
)
async def test_broken_json_is_told_with_its_place(
    http: aiohttp.ClientSession, book: Book, body: str, words: str
) -> None:
    error = await refused(http, "POST", "/api/chat", 400, data=body, headers=JSON)
    assert error["status"] == "INVALID_ARGUMENT"
    assert words in error["message"]
    assert book.seen == []


async def test_unknown_query_parameters_are_refused(http: aiohttp.ClientSession, book: Book) -> None:
    error = await refused(http, "GET", "/api/collections?bogus=1", 400)
    assert "bogus" in error["message"]
    error = await refused(http, "GET", "/api/collections?page_size=many", 400)
    assert "page_size" in error["message"]
    assert book.seen == []


async def test_unknown_json_fields_are_dropped(http: aiohttp.ClientSession, book: Book) -> None:
    # A limit of the transcoder, told in docs/gateway.md; should Envoy learn better, this test says so.
    async with http.post("/api/chat", json={**QUESTION, "modle": "typo"}) as response:
        assert response.status == 200
    assert book.last.request.input.model == ""


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
async def test_bodies_beyond_the_limit(http: aiohttp.ClientSession, book: Book, path: str) -> None:
    error = await refused(http, "POST", path, 413, data=b"x" * 70_000, headers=JSON)
    if path.startswith("/api"):
        assert (error["status"], error["reason"]) == ("RESOURCE_EXHAUSTED", "PAYLOAD_TOO_LARGE")

    async def pieces() -> Any:
        for _ in range(100):
            yield b" " * 1000

    error = await refused(http, "POST", path, 413, data=pieces(), headers=JSON)
    assert "too large" in error["message"]
    assert book.seen == []


async def test_a_body_just_below_the_limit_passes(http: aiohttp.ClientSession, book: Book) -> None:
    text = "x" * 65_000
    async with http.post("/api/chat", json={"messages": [{"role": "user", "content": text}]}) as response:
        assert response.status == 200, await response.text()
    assert book.last.request.input.messages[0].content == text


async def test_headers_beyond_the_limit(http: aiohttp.ClientSession) -> None:
    await refused(http, "GET", "/api/collections", 431, headers={"x-long": "y" * 40_000})


async def test_grpc_paths_take_grpc_only(http: aiohttp.ClientSession, book: Book) -> None:
    """A page can send text/plain and a GET without asking first; neither may reach a handler."""
    path = "/pergola.vector.v1.CollectionService/DeleteCollection"
    for content_type in ("text/plain", "application/json", "application/grpc+json", "application/connect+json"):
        async with http.post(path, data=b"\0\0\0\0\0", headers={"content-type": content_type}) as response:
            assert response.status == 415 or response.headers.get("grpc-status") not in (None, "0")
    async with http.post(path, data=b"", headers={"content-type": "application/proto"}) as response:
        assert response.status == 415
    # The Connect filter would turn this into a call.
    async with http.get(f"{path}?connect=v1&encoding=proto&base64=1&message=CgRkb2Nz") as response:
        assert response.status == 405
        assert response.headers["allow"] == "POST"
    assert book.seen == []


async def test_what_only_the_gateway_may_say_is_stripped(http: aiohttp.ClientSession, book: Book) -> None:
    forged = {
        "x-pergola-tenant": "other", "X-Pergola-Face": "grpc", "x-pergola-anything": "1", "x-envoy-retry-on": "5xx",
        "authorization": "Bearer kept", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }  # fmt: skip
    async with http.get("/api/collections", headers=forged) as response:
        assert response.status == 200
    arrived = {name: value for name, value in book.last.metadata.items() if name.startswith("x-pergola")}
    assert arrived == {"x-pergola-face": "api"}
    assert "x-envoy-retry-on" not in book.last.metadata
    assert book.last.metadata["authorization"] == forged["authorization"]
    assert book.last.metadata["traceparent"] == forged["traceparent"]
    async with http.get("/v1/models", headers=forged):
        assert book.last.metadata["x-pergola-face"] == "openai"


async def test_request_ids(http: aiohttp.ClientSession, book: Book) -> None:
    async with http.get("/api/collections", headers={"x-request-id": "mine-1.2_3"}) as response:
        assert response.headers.getall("x-request-id") == ["mine-1.2_3"]
    assert book.last.metadata["x-request-id"] == "mine-1.2_3"
    for invalid in ('"quoted"', "a" * 129, "with space"):
        async with http.get("/api/collections", headers={"x-request-id": invalid}) as response:
            (made,) = response.headers.getall("x-request-id")
        assert made != invalid
        assert book.last.metadata["x-request-id"] == made


async def test_preflight(http: aiohttp.ClientSession, book: Book) -> None:
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,authorization,x-request-id",
    }
    for path in ("/api/chat", "/v1/chat/completions", "/pergola.chat.v1.ChatService/Chat"):
        async with http.options(path, headers={"origin": ORIGIN, **asked}) as response:
            assert response.status == 200
            assert response.headers["access-control-allow-origin"] == ORIGIN
            assert "POST" in response.headers["access-control-allow-methods"]
            assert "authorization" in response.headers["access-control-allow-headers"]
        async with http.options(path, headers={"origin": "http://evil.com", **asked}) as response:
            assert response.status == 403
            assert "access-control-allow-origin" not in response.headers
    assert book.seen == []


async def test_allowed_pages_can_read_answers_and_errors(http: aiohttp.ClientSession) -> None:
    for path in ("/api/collections", "/api/nothing", "/api/chat"):
        async with http.get(path, headers={"origin": ORIGIN}) as response:
            assert response.headers["access-control-allow-origin"] == ORIGIN
            assert "x-request-id" in response.headers["access-control-expose-headers"]


async def test_the_access_log_holds_no_secret(http: aiohttp.ClientSession, gateway: Gateway) -> None:
    headers = {"authorization": "Bearer sesame-1", "cookie": "sesame-2", "x-request-id": "logged-once"}
    async with http.post("/api/chat?key=sesame-3", json={"sesame-4": 1}, headers=headers):
        pass
    entry = await gateway.logged("logged-once")
    assert (entry["path"], entry["method"], entry["status"]) == ("/api/chat", "POST", 400)
    assert "sesame" not in (gateway.folder / "log").read_text()


async def test_the_admin_interface_is_private(gateway: Gateway) -> None:
    assert (gateway.folder / "gateway-admin.sock").stat().st_mode & 0o777 == 0o600
