"""Where the client looks for Pergola."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from pergola import InvalidArgument
from pergola._address import DEFAULT_URL, find, parse


@pytest.mark.parametrize(
    ("url", "target", "tls", "loopback"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080", False, True),
        ("http://localhost", "localhost:80", False, True),
        ("https://pergola.example", "pergola.example:443", True, False),
        ("http://[::1]:99/", "[::1]:99", False, True),
        ("http://10.0.0.1:1", "10.0.0.1:1", False, False),
    ],
)
def test_an_address_is_read(url: str, target: str, tls: bool, loopback: bool) -> None:
    address = parse(url)
    assert (address.target, address.tls, address.loopback) == (target, tls, loopback)
    assert parse(address.url) == address


@pytest.mark.parametrize(
    "url",
    ["localhost:8080", "ftp://x", "http://", "http://x:port", "http://x:70000", "http://x/path", "http://x?y", "x y"],
)
def test_anything_else_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(InvalidArgument, match="http://host:port"):
        parse(url)


def test_a_key_in_an_address_is_not_repeated() -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse("http://me:secret@host:80")
    assert "secret" not in str(caught.value)


def running(folder: Path, gateway: object, pid: int) -> None:
    state = folder / "run" / "state.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"gateway": gateway, "supervisor": {"pid": pid, "started": "x"}}))


def test_what_is_said_goes_before_what_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running(tmp_path / ".pergola", "http://127.0.0.1:7777", os.getpid())
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert find("http://one:1", {"PERGOLA_URL": "http://two:2"}).target == "one:1"
    assert find(None, {"PERGOLA_URL": "http://two:2"}).target == "two:2"
    assert find(None, {}).target == "127.0.0.1:7777", "found from a folder below"
    assert find(None, {"PERGOLA_DATA_DIR": str(tmp_path / "other")}).url == DEFAULT_URL


def test_the_data_directory_of_another_suite_can_be_named(tmp_path: Path) -> None:
    running(tmp_path, "http://127.0.0.1:7778", os.getpid())
    assert find(None, {"PERGOLA_DATA_DIR": str(tmp_path)}).target == "127.0.0.1:7778"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"gateway": 1, "supervisor": {"pid": 1}}', "\x00"])
def test_a_broken_state_file_is_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "state.json").write_text(content)
    assert find(None, {"PERGOLA_DATA_DIR": str(tmp_path)}).url == DEFAULT_URL


def test_a_suite_that_was_killed_is_passed_over(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    running(tmp_path, "http://127.0.0.1:7779", ended.pid)
    assert find(None, {"PERGOLA_DATA_DIR": str(tmp_path)}).url == DEFAULT_URL
