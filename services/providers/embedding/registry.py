"""Which embedding models there are: the built-in one, and the endpoint that the settings name."""

from collections.abc import Mapping

from services.providers.embedding.model import EmbeddingModel
from services.runtime.errors import ModelNotFound


class EmbeddingModels:
    """The models of this process by name; `default` is the one that callers who name none get."""

    def __init__(self, models: Mapping[str, EmbeddingModel], default: str) -> None:
        if default not in models:
            raise ValueError(f"the default embedding model {default!r} is none of {', '.join(sorted(models))}")
        self._models = dict(models)
        self.default = default

    def get(self, name: str = "") -> EmbeddingModel:
        """The model of that name; of no name, the default one.

        Raises ModelNotFound.
        """
        model = self._models.get(name or self.default)
        if model is None:
            raise ModelNotFound(
                f"There is no embedding model {name!r} here; there are: {', '.join(sorted(self._models))}."
            )
        return model

    async def close(self) -> None:
        for model in self._models.values():
            await model.close()
