"""The setting that names chat models: JSON or TOML, read and checked at start.

    [{"id": "llama3.2", "base_url": "http://127.0.0.1:11434/v1"}]

An id that ends in `*` stands for every model its endpoint has: `{"id": "ollama/*", …}` makes the endpoint's `llama3.2`
known as `ollama/llama3.2`.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from services.runtime.settings import Secret


class ChatModelsError(Exception):
    """The setting can't be used. `problems` says what is wrong, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


class ChatModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the setting."""

    id: Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\s*]*\*?$")]
    """The name callers use. A `*` at the end stands for any name; `upstream_model` then says where it goes."""
    base_url: Annotated[str, Meta(pattern=r"^https?://")]
    """Where the protocol begins, with the version: `https://api.openai.com/v1`, `http://127.0.0.1:11434/v1`."""
    provider: Literal["openai-compatible"] = "openai-compatible"
    """The protocol the endpoint speaks."""
    upstream_model: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    """The name the endpoint knows the model by. Default: `id`; for an id with `*`, what stands in its place."""
    api_key_env: Annotated[str, Meta(min_length=1)] | None = None
    """Name of the environment variable that holds the key."""
    api_key_file: Annotated[str, Meta(min_length=1)] | None = None
    """File that holds the key and nothing else."""
    context_tokens: Annotated[int, Meta(ge=256)] | None = None
    """Tokens of prompt and answer the model can hold; passages are left out of a prompt that would not fit."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """How the endpoint names the longest answer; newer models of OpenAI's take `max_completion_tokens` only."""
    first_byte_timeout: Annotated[float, Meta(gt=0, le=3600)] | None = None
    """Seconds until the answer must begin; default: the service's setting."""
    idle_timeout: Annotated[float, Meta(gt=0, le=3600)] | None = None
    """Seconds a stream may stand still; default: the service's setting."""

    @property
    def is_pattern(self) -> bool:
        return self.id.endswith("*")

    def matches(self, model: str) -> bool:
        if self.is_pattern:
            prefix = self.id[:-1]
            return model.startswith(prefix) and len(model) > len(prefix)
        return model == self.id

    def upstream_name(self, model: str) -> str:
        """The endpoint's name of `model`, which this entry matches."""
        if not self.is_pattern:
            return self.upstream_model or model
        return (self.upstream_model or "*").replace("*", model[len(self.id) - 1 :])

    def public_name(self, upstream: str) -> str | None:
        """The callers' name of the endpoint's model `upstream`; None when this pattern does not reach it."""
        before, _, after = (self.upstream_model or "*").partition("*")
        if len(upstream) <= len(before) + len(after) or not (upstream.startswith(before) and upstream.endswith(after)):
            return None
        return self.id[:-1] + upstream[len(before) : len(upstream) - len(after)]

    def key(self, environ: Mapping[str, str]) -> Secret | None:
        """The key; None when the entry names none.

        Raises:
            ValueError: it names one that is not there.
        """
        if self.api_key_env is not None:
            value = environ.get(self.api_key_env, "").strip()
            if not value:
                raise ValueError(f"the environment variable {self.api_key_env} is not set")
            return Secret(value)
        if self.api_key_file is not None:
            try:
                value = Path(self.api_key_file).expanduser().read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"the key file {self.api_key_file} can't be read ({type(error).__name__})") from None
            if not value:
                raise ValueError(f"the key file {self.api_key_file} is empty")
            return Secret(value)
        return None


def read_chat_models(setting: str, environ: Mapping[str, str] = os.environ) -> list[ChatModelSpec]:
    """The entries of the setting: JSON text (`[` or `{` first), or the path of a `.json` or `.toml` file. The top is a
    list, or an object with the list under `models`, the only way in TOML (`[[models]]`).

    Raises:
        ChatModelsError: with everything that is wrong, by entry.
    """
    text = setting.strip()
    if not text:
        return []
    entries = _entries(text)
    specs: list[ChatModelSpec] = []
    problems: list[str] = []
    for position, entry in enumerate(entries):
        name = entry.get("id") if isinstance(entry, dict) else None
        where = f"entry {position + 1}" + (f" ({name})" if isinstance(name, str) else "")
        if isinstance(entry, dict) and "api_key" in entry:
            problems.append(f"{where}: keys do not stand here; name api_key_env or api_key_file")
            continue
        try:
            spec = msgspec.convert(entry, ChatModelSpec)
        except msgspec.ValidationError as error:
            problems.append(f"{where}: {error}")
            continue
        problems.extend(f"{where}: {problem}" for problem in _problems(spec, specs, environ))
        specs.append(spec)
    if problems:
        raise ChatModelsError(problems)
    return specs


def _entries(text: str) -> list[Any]:
    if text[0] in "[{":
        return _list_of(_decoded(text, "the text", toml=False), "the text")
    path = Path(text).expanduser()
    if path.suffix not in (".json", ".toml"):
        raise ChatModelsError(["it is neither JSON (which begins with [ or {) nor the path of a .json or .toml file"])
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ChatModelsError([f"the file {path} can't be read ({type(error).__name__})"]) from None
    return _list_of(_decoded(content, f"the file {path}", toml=path.suffix == ".toml"), f"the file {path}")


def _decoded(text: str, what: str, *, toml: bool) -> Any:
    try:
        return msgspec.toml.decode(text) if toml else msgspec.json.decode(text)
    except msgspec.MsgspecError as error:
        raise ChatModelsError([f"{what} is not valid {'TOML' if toml else 'JSON'}: {error}"]) from None


def _list_of(content: Any, what: str) -> list[Any]:
    if isinstance(content, dict) and set(content) == {"models"}:
        content = content["models"]
    if not isinstance(content, list):
        raise ChatModelsError([f"{what} must hold a list of models, by itself or under `models`"])
    return content


def _problems(spec: ChatModelSpec, earlier: Sequence[ChatModelSpec], environ: Mapping[str, str]) -> list[str]:
    found = []
    if any(other.id == spec.id for other in earlier):
        found.append("the id stands there twice")
    parts = urlsplit(spec.base_url)
    if not parts.hostname:
        found.append("base_url names no host")
    if parts.username or parts.password or parts.query or parts.fragment:
        found.append("base_url must be scheme, host and path only; a key goes into api_key_env or api_key_file")
    if spec.api_key_env is not None and spec.api_key_file is not None:
        found.append("api_key_env and api_key_file: one of them")
    if spec.is_pattern and spec.upstream_model is not None and "*" not in spec.upstream_model:
        found.append("upstream_model needs a * where the id has one")
    try:
        spec.key(environ)
    except ValueError as error:
        found.append(str(error))
    return found
