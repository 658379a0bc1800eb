"""The setting that names models: forms, keys, and what is said about mistakes."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.chat.settings import ChatSettings
from services.providers.chat_models import ChatModelsError, ChatModelSpec, read_chat_models
from services.runtime.settings import SettingsError, load

URL = "http://127.0.0.1:11434/v1"


def read(*entries: Any, environ: dict[str, str] | None = None) -> list[ChatModelSpec]:
    return read_chat_models(json.dumps(entries), environ or {})


def problems(*entries: Any, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ChatModelsError) as error:
        read(*entries, environ=environ)
    return error.value.problems


def test_nothing_is_no_models() -> None:
    assert read_chat_models("  ", {}) == []


def test_forms(tmp_path: Path) -> None:
    entry = {"id": "m", "base_url": URL}
    as_json, as_toml = tmp_path / "models.json", tmp_path / "models.toml"
    as_json.write_text(json.dumps({"models": [entry]}))
    as_toml.write_text(f'[[models]]\nid = "m"\nbase_url = "{URL}"\n')
    texts = [json.dumps([entry]), json.dumps({"models": [entry]}), str(as_json), str(as_toml)]
    assert [read_chat_models(text, {}) for text in texts] == [[ChatModelSpec(id="m", base_url=URL)]] * 4


def test_keys_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-file\n")
    environ = {"SOME_KEY": "from-environment"}
    one, other, none = read(
        {"id": "a", "base_url": URL, "api_key_env": "SOME_KEY"},
        {"id": "b", "base_url": URL, "api_key_file": str(file)},
        {"id": "c", "base_url": URL},
        environ=environ,
    )
    keys = [one.key(environ), other.key(environ)]
    assert [key and key.reveal() for key in keys] == ["from-environment", "from-file"]
    assert none.key(environ) is None
    assert "from-" not in repr((one, other, *keys))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"base_url": URL}, "missing required field `id`"),
        ({"id": "m"}, "missing required field `base_url`"),
        ({"id": "m", "base_url": "ftp://x"}, "base_url"),
        ({"id": "m", "base_url": "http://"}, "base_url names no host"),
        ({"id": "m", "base_url": "http://user:pass@host/v1"}, "a key goes into api_key_env or api_key_file"),
        ({"id": "m", "base_url": URL, "provider": "other"}, "provider"),
        ({"id": "m", "base_url": URL, "colour": "red"}, "unknown field `colour`"),
        ({"id": "a b", "base_url": URL}, "id"),
        ({"id": "a*b", "base_url": URL}, "id"),
        ({"id": "m*", "base_url": URL, "upstream_model": "fixed"}, "upstream_model needs a *"),
        ({"id": "m", "base_url": URL, "api_key": "sk-very-secret"}, "keys do not stand here"),
        ({"id": "m", "base_url": URL, "api_key_env": "MISSING"}, "the environment variable MISSING is not set"),
        ({"id": "m", "base_url": URL, "api_key_file": "/nowhere/key"}, "/nowhere/key can't be read"),
        ({"id": "m", "base_url": URL, "api_key_env": "A", "api_key_file": "b"}, "one of them"),
        ({"id": "m", "base_url": URL, "first_byte_timeout": 0}, "first_byte_timeout"),
        ("just a name", "entry 1"),
    ],
)
def test_mistakes_are_named(entry: Any, expected: str) -> None:
    text = "; ".join(problems(entry, environ={"A": "x"}))
    assert expected in text
    assert "secret" not in text


def test_all_mistakes_come_at_once() -> None:
    found = problems({"id": "m"}, {"id": "n", "base_url": URL}, {"id": "n", "base_url": URL})
    assert len(found) == 2
    assert found[1] == "entry 3 (n): the id stands there twice"


@pytest.mark.parametrize("text", ["[{", "{}", '{"models": 3}', "models", "/nowhere.json", '["x"'])
def test_texts_that_hold_no_models(text: str) -> None:
    with pytest.raises(ChatModelsError):
        read_chat_models(text, {})


def test_patterns_map_names_both_ways() -> None:
    (spec,) = read({"id": "ollama/*", "base_url": URL})
    assert spec.matches("ollama/llama3.2:3b")
    assert not spec.matches("ollama/")
    assert spec.upstream_name("ollama/llama3.2:3b") == "llama3.2:3b"
    assert spec.public_name("llama3.2:3b") == "ollama/llama3.2:3b"
    (spec,) = read({"id": "g/*", "base_url": URL, "upstream_model": "models/*-latest"})
    assert spec.upstream_name("g/pro") == "models/pro-latest"
    assert spec.public_name("models/pro-latest") == "g/pro"
    assert spec.public_name("models/pro") is None


def test_the_service_refuses_to_start_with_a_wrong_setting() -> None:
    with pytest.raises(
        SettingsError, match=r"PERGOLA_CHAT_MODELS: entry 1 \(m\): Object missing required field `base_url`"
    ):
        load(ChatSettings, "chat", {"PERGOLA_CHAT_MODELS": '[{"id": "m"}]'})
    with pytest.raises(SettingsError, match="PERGOLA_CHAT_DEFAULT_MODEL: there is no model 'gone'"):
        load(ChatSettings, "chat", {"PERGOLA_CHAT_DEFAULT_MODEL": "gone"})
    settings = load(
        ChatSettings,
        "chat",
        {"PERGOLA_CHAT_MODELS": f'[{{"id": "o/*", "base_url": "{URL}"}}]', "PERGOLA_CHAT_DEFAULT_MODEL": "o/m"},
    )
    assert settings.default_model == "o/m"
