"""Models that this machine offers already: an Ollama that runs, an API key in the environment; and how to use them."""

import http.client
import json
from collections.abc import Mapping

_OLLAMA = ("127.0.0.1", 11434)
_PROBE_SECONDS = 0.3
_KEYS = {"OPENAI_API_KEY": ("openai", "https://api.openai.com/v1", "gpt-4o-mini")}


def models(environ: Mapping[str, str]) -> list[str]:
    """Lines for a person; none when nothing was found or models are configured already. Never shows a key's value."""
    if environ.get("PERGOLA_CHAT_MODELS"):
        return []
    lines = []
    if names := _ollama_models():
        lines += _enable(f"Ollama runs here with {', '.join(names[:3])}", names[0], "http://127.0.0.1:11434/v1", "")
    for variable, (_, url, model) in _KEYS.items():
        if environ.get(variable):
            lines += _enable(f"{variable} is set", model, url, variable)
    return lines


def _enable(found: str, model: str, url: str, key_variable: str) -> list[str]:
    setting = {"name": model, "provider": "openai-compatible", "base_url": url}
    if key_variable:
        setting["api_key_variable"] = key_variable
    return [
        f"{found}. To answer with it, start with:",
        "",
        f"  PERGOLA_CHAT_MODELS='{json.dumps([setting])}' make run",
        "",
    ]


def _ollama_models() -> list[str]:
    """Names of the models of an Ollama on its usual port; none when there is no Ollama."""
    connection = http.client.HTTPConnection(*_OLLAMA, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", "/api/tags")
        answer = json.loads(connection.getresponse().read(1_000_000))
        return [str(model["name"]) for model in answer["models"]]
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return []
    finally:
        connection.close()
