"""Models that this machine offers already (an Ollama that runs, an API key), and the line that enables them."""

import http.client
import json
from collections.abc import Mapping

_OLLAMA = ("127.0.0.1", 11434)
_PROBE_SECONDS = 0.3

# Variables that hold a key by convention, and the OpenAI-compatible endpoint that takes it.
_KEYS: dict[str, dict[str, str]] = {
    "OPENAI_API_KEY": {
        "id": "openai/*",
        "base_url": "https://api.openai.com/v1",
        "max_tokens_field": "max_completion_tokens",
    },
    "GEMINI_API_KEY": {"id": "gemini/*", "base_url": "https://generativelanguage.googleapis.com/v1beta/openai"},
    "MISTRAL_API_KEY": {"id": "mistral/*", "base_url": "https://api.mistral.ai/v1"},
    "GROQ_API_KEY": {"id": "groq/*", "base_url": "https://api.groq.com/openai/v1"},
    "OPENROUTER_API_KEY": {"id": "openrouter/*", "base_url": "https://openrouter.ai/api/v1"},
}


def models(environ: Mapping[str, str]) -> list[str]:
    """Lines for a person; none when nothing was found or models are configured. A key's value is never shown."""
    if environ.get("PERGOLA_CHAT_MODELS"):
        return []
    found: list[str] = []
    entries: list[dict[str, str]] = []
    if names := _ollama_models():
        found.append(f"an Ollama on port {_OLLAMA[1]} ({', '.join(f'ollama/{name}' for name in names[:3])})")
        entries.append({"id": "ollama/*", "base_url": f"http://{_OLLAMA[0]}:{_OLLAMA[1]}/v1"})
    for variable, entry in _KEYS.items():
        if environ.get(variable):
            found.append(variable)
            entries.append({**entry, "api_key_env": variable})
    if not found:
        return []
    setting = f"PERGOLA_CHAT_MODELS='{json.dumps(entries)}'"
    return [f"Found {' and '.join(found)}. To have answers written by it, start with:", "", f"  {setting} make run", ""]


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
