"""With callers configured, everybody needs a key, and our own services have theirs."""

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack
from tests import stacks

KEY = "a-key-of-the-test-that-is-long-enough-to-be-one"
OTHER_KEY = "another-key-of-the-test-that-may-only-read-things"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A suite whose callers are a writer of the tenant `garden` and a reader of the tenant `kitchen`."""
    folder = tmp_path_factory.mktemp("callers")
    callers = [
        {"name": "writer", "key_sha256": _sha256(KEY), "tenants": ["garden"], "roles": ["reader", "writer"]},
        {"name": "reader", "key_sha256": _sha256(OTHER_KEY), "tenants": ["kitchen"], "roles": ["reader"]},
    ]
    file = folder / "callers.json"
    file.write_text(json.dumps({"callers": callers}))
    environ = stacks.test_environ() | {"PERGOLA_CALLERS_FILE": str(file)}
    stack = Stack(folder / "data", ports={"gateway": 0}, environ=environ)
    stack.start()
    try:
        yield f"http://{stack.address('gateway')}"
    finally:
        stack.stop()


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _call(url: str, key: str | None, body: object = None, **headers: str) -> tuple[int, str]:
    """Status and body of a call, a POST if it has a body."""
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    request.add_header("content-type", "application/json")
    if key:
        request.add_header("authorization", f"Bearer {key}")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def ingested(gateway: str) -> str:
    """The job that put a document into the tenant `garden`, ended."""
    build = {"collection": "docs", "documents": ["The pergola in the garden carries roses."]}
    status, text = _call(f"{gateway}/api/rag/build", KEY, build)
    assert status == 200, text
    job = str(json.loads(text)["task_id"])
    status, text = _call(f"{gateway}/api/jobs/{job}/watch", KEY)
    assert '"completed"' in text, text
    return job


def _question(mode: str) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": "What does the pergola carry?"}],
        "model": "extractive",
        "retrieval": {"mode": mode, "collections": ["docs"], "k": 8},
    }


@pytest.mark.parametrize("mode", ["vector", "graph"])
@pytest.mark.usefixtures("ingested")
def test_a_question_goes_through_all_services_with_their_own_keys(gateway: str, mode: str) -> None:
    status, text = _call(f"{gateway}/api/chat/stream", KEY, _question(mode))
    assert status == 200, text
    assert "roses" in text


@pytest.mark.parametrize("key", [None, "a-key-that-nobody-has"])
def test_without_a_key_that_is_listed_nobody_enters(gateway: str, key: str | None) -> None:
    for path, body in (("/api/collections", None), ("/api/chat", _question("vector")), ("/v1/models", None)):
        status, text = _call(gateway + path, key, body)
        assert status == 401, (path, text)


@pytest.mark.usefixtures("ingested")
def test_another_tenant_finds_nothing_and_a_reader_writes_nothing(gateway: str) -> None:
    status, text = _call(f"{gateway}/api/collections/docs", OTHER_KEY)
    assert status == 404, text
    status, text = _call(f"{gateway}/api/chat/stream", OTHER_KEY, _question("graph"))
    assert "roses" not in text
    status, text = _call(f"{gateway}/api/rag/build", OTHER_KEY, {"collection": "mine", "documents": ["text"]})
    assert status == 403, text


def test_our_own_services_keys_open_no_door_from_outside(gateway: str, tmp_path: Path) -> None:
    """`x-pergola-tenant` from outside is dropped, so a caller stays in its tenant."""
    status, text = _call(f"{gateway}/api/collections", OTHER_KEY, None, x_pergola_tenant="garden")
    assert status == 200, text
    assert "docs" not in text
