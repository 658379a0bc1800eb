"""Our services' own keys beside the user's callers."""

import hashlib
import json
from pathlib import Path

import pytest

from local.components.callers import Callers
from local.errors import SettingsError
from local.system.datadir import DataDirectory

USER = {"name": "ana", "key_sha256": "0" * 64, "tenants": ["default"], "roles": ["reader"]}


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    directory = DataDirectory(tmp_path / "data")
    directory.acquire()
    return directory


def test_without_callers_nothing_is_told(data: DataDirectory) -> None:
    callers = Callers({}, data)
    callers.start()
    assert callers.variables("chat") == {}


def test_services_are_listed_by_their_own_keys(tmp_path: Path, data: DataDirectory) -> None:
    source = tmp_path / "callers.json"
    source.write_text(json.dumps({"callers": [USER]}))
    callers = Callers({"PERGOLA_CALLERS_FILE": str(source), "PERGOLA_GRAPH_SERVICE_KEY": "the user's own"}, data)
    callers.start()
    try:
        told = callers.variables("chat")
        listed = {
            entry["name"]: entry for entry in json.loads(Path(told["PERGOLA_CALLERS_FILE"]).read_text())["callers"]
        }
        assert set(listed) == {"ana", "pergola-chat", "pergola-vector", "pergola-cache"}
        key = Path(told["PERGOLA_CHAT_SERVICE_KEY_FILE"]).read_text()
        assert listed["pergola-chat"]["key_sha256"] == hashlib.sha256(key.encode()).hexdigest()
        assert listed["pergola-chat"]["roles"] == ["service"]
        assert "PERGOLA_GRAPH_SERVICE_KEY_FILE" not in callers.variables("graph")
    finally:
        callers.stop()


def test_a_changed_file_is_followed_and_a_broken_one_shown_as_it_is(tmp_path: Path, data: DataDirectory) -> None:
    source = tmp_path / "callers.json"
    source.write_text(json.dumps({"callers": [USER]}))
    callers = Callers({"PERGOLA_CALLERS_FILE": str(source)}, data)
    callers.start()
    callers.stop()
    merged = Path(callers.variables("chat")["PERGOLA_CALLERS_FILE"])
    source.write_text(json.dumps({"callers": [{**USER, "name": "ben"}]}))
    callers.refresh()
    assert "ben" in merged.read_text()
    assert "ana" not in merged.read_text()
    assert "pergola-chat" in merged.read_text()
    source.write_text('{"callers": [')
    callers.refresh()
    assert merged.read_text() == '{"callers": ['
    source.unlink()
    callers.refresh()
    assert merged.exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"callers": {}}'])
def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path, data: DataDirectory, content: str) -> None:
    source = tmp_path / "callers.json"
    source.write_text(content)
    with pytest.raises(SettingsError, match="PERGOLA_CALLERS_FILE"):
        Callers({"PERGOLA_CALLERS_FILE": str(source)}, data).start()
