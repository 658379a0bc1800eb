"""all-MiniLM-L6-v2 in this process, on threads of its own."""

import asyncio
import functools
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from tokenizers import Encoding
from tokenizers import Tokenizer as Vocabulary

from services.providers.embedding import graph, weights
from services.providers.embedding.graph import Precision
from services.providers.embedding.model import Span, Vectors

NAMES: Final[dict[Precision, str]] = {"float32": "all-minilm-l6-v2", "int8": "all-minilm-l6-v2-int8"}
"""Each precision is a model of its own: its vectors are kept, and compared, apart from the other's."""
NAME: Final = NAMES["float32"]
WINDOW: Final = 256
"""Tokens, [CLS] and [SEP] included."""

_BATCH_TOKENS: Final = 768
"""Padded tokens in one run. Larger runs are no faster (25 passages a second and core at 1 as at 16 texts a run), and
between small ones others get their turn and a cancelled call ends soon."""
_BULK_NICENESS: Final = 10


class MiniLM:
    """The built-in English model: 384 dimensions, vectors of unit length. In `int8` about twice as fast, see `graph`.

    Bulk work runs on as many threads as `threads`, at a lower priority of the operating system where a thread can
    have one (Linux); urgent texts have threads of their own, so that a question does not wait behind a document.
    """

    dimension = graph.DIMENSION
    window = WINDOW - 2
    latin_only = True

    def __init__(self, models: Path, *, threads: int, precision: Precision = "float32") -> None:
        """`models`: where the graph is kept; see `load`. Call it off the event loop."""
        self.name = NAMES[precision]
        self.fingerprint = f"{self.name}@{weights.SHA256[:12]}"
        self._models = models
        self._precision = precision
        self._loading = threading.Lock()
        self._loaded: onnxruntime.InferenceSession | None = None
        self.tokenizer = WordPieces(weights.folder() / "tokenizer.json")
        self._threads = threads
        self._bulk = ThreadPoolExecutor(threads, "embed-bulk", initializer=_lower_priority)
        self._urgent = ThreadPoolExecutor(threads, "embed-urgent")

    def load(self) -> onnxruntime.InferenceSession:
        """Builds the graph if it is not there, and loads it: seconds, once. The first text does it, if nobody else has.

        Raises WeightsError or OSError.
        """
        with self._loading:
            if self._loaded is None:
                options = onnxruntime.SessionOptions()
                # One thread a run: runs are what is parallel here.
                options.intra_op_num_threads = options.inter_op_num_threads = 1
                path = str(graph.ensure(self._models, self._precision))
                self._loaded = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            return self._loaded

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        result = np.empty((len(texts), self.dimension), np.float32)
        if not texts:
            return result
        executor = self._urgent if urgent else self._bulk
        run = functools.partial(asyncio.get_running_loop().run_in_executor, executor)
        if len(texts) == 1:
            return await run(self._at_once, texts)
        encoded = await run(self.tokenizer.encode, texts)
        # No caller has more runs in line than there are threads: many callers take turns.
        turn = asyncio.Semaphore(self._threads)

        async def one(batch: list[int]) -> None:
            async with turn:
                result[batch] = await run(self._run, [encoded[place] for place in batch])

        async with asyncio.TaskGroup() as group:
            for batch in batches([len(one_text.ids) for one_text in encoded]):
                group.create_task(one(batch))
        return result

    def _at_once(self, texts: Sequence[str]) -> Vectors:
        return self._run(self.tokenizer.encode(texts))

    def _run(self, encoded: Sequence[Encoding]) -> Vectors:
        longest = max(len(one.ids) for one in encoded)
        ids = np.zeros((len(encoded), longest), np.int32)
        mask = np.zeros_like(ids)
        for row, one in enumerate(encoded):
            ids[row, : len(one.ids)] = one.ids
            mask[row, : len(one.ids)] = 1
        vectors: Vectors = self.load().run(["embedding"], {"ids": ids, "mask": mask})[0]
        return vectors

    async def close(self) -> None:
        for executor in (self._bulk, self._urgent):
            executor.shutdown(wait=False, cancel_futures=True)


class WordPieces:
    """The model's own tokenizer: BERT's uncased WordPiece."""

    def __init__(self, path: Path) -> None:
        # Two copies, because limits are a state of the tokenizer and both are used from several threads.
        self._whole = Vocabulary.from_file(str(path))
        self._whole.no_truncation()
        self._whole.no_padding()
        self._cut = Vocabulary.from_file(str(path))
        self._cut.enable_truncation(WINDOW)
        self._cut.no_padding()

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        encoded = self._whole.encode_batch(list(texts), add_special_tokens=False)
        return [one.offsets for one in encoded]

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Token ids with [CLS] and [SEP], at most WINDOW of them."""
        return self._cut.encode_batch_fast(list(texts))


def batches(lengths: Sequence[int]) -> list[list[int]]:
    """Places of texts of these `lengths` (tokens), sorted by length and cut so that padding is small.

    Each batch holds at most _BATCH_TOKENS padded tokens, or one text.
    """
    cut: list[list[int]] = []
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Sorted, so the newest is the longest and decides the padding.
        if batch and (len(batch) + 1) * lengths[place] > _BATCH_TOKENS:
            cut.append(batch)
            batch = []
        batch.append(place)
    return [*cut, batch] if batch else cut


def _lower_priority() -> None:
    if sys.platform == "linux":
        # Niceness belongs to a thread on Linux; 0 names the calling one.
        os.setpriority(os.PRIO_PROCESS, 0, _BULK_NICENESS)
