"""What chat tells Prometheus about its answers."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.providers.chat_model import Usage
from services.runtime.errors import PergolaError, Upstream

log = logging.getLogger(__name__)

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Meters:
    """Counters by model, where a model is an entry of the settings: a pattern counts as one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.answers = Counter(
            "pergola_chat_answers", "Answers, by how they ended.", ["model", "outcome"], registry=registry
        )
        self.first_piece = Histogram(
            "pergola_chat_first_piece_seconds",
            "From the question to the first piece of an answer.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.tokens = Counter(
            "pergola_chat_tokens", "Tokens as providers count them.", ["model", "direction"], registry=registry
        )

    @contextmanager
    def answer(self, model: str) -> Iterator["AnswerMeter"]:
        """Counts one answer; an error, or leaving before `finished`, decides the outcome. A provider's failure is
        logged, because its operator has to know."""
        meter = AnswerMeter(self, model)
        try:
            yield meter
        except PergolaError as error:
            meter.outcome = error.reason.lower()
            if isinstance(error, Upstream):
                log.warning("provider failed", extra={"model": model, "reason": error.reason, **error.metadata})
            raise
        except Exception:
            meter.outcome = "internal"
            raise
        finally:
            self.answers.labels(model, meter.outcome).inc()


class AnswerMeter:
    """One answer under way."""

    def __init__(self, meters: Meters, model: str) -> None:
        self.outcome = "cancelled"
        self._meters = meters
        self._model = model
        self._started = time.monotonic()
        self._began = False

    def piece(self) -> None:
        """A piece of the answer is there; only the first one counts."""
        if not self._began:
            self._began = True
            self._meters.first_piece.labels(self._model).observe(time.monotonic() - self._started)

    def cached(self) -> None:
        self.piece()
        self.outcome = "cached"

    def finished(self, usage: Usage | None) -> None:
        self.outcome = "complete"
        if usage is not None:
            self._meters.tokens.labels(self._model, "input").inc(usage.input_tokens)
            self._meters.tokens.labels(self._model, "output").inc(usage.output_tokens)
