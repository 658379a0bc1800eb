"""Models behind an endpoint that speaks OpenAI's chat completion protocol: OpenAI, vLLM, Ollama and many more."""

from services.providers.openai_compatible.endpoint import Endpoint as Endpoint
from services.providers.openai_compatible.endpoint import Limits as Limits
from services.providers.openai_compatible.model import OpenAICompatibleModel as OpenAICompatibleModel
