"""Vectors of texts, each computed once and kept in a folder."""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from services.providers.embedding.minilm import MiniLM
from services.providers.embedding.model import Vectors

_DIGEST: Final = 32
_AT_ONCE: Final = 256
"""Texts that are computed before they are written down: what an interrupted run loses."""


class KeptVectors:
    """all-MiniLM-L6-v2 with a memory on disk: an interrupted run goes on where it stopped."""

    def __init__(self, folder: Path, *, threads: int = 2) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._model = MiniLM(folder / "models", threads=threads)
        self._keys = folder / "texts.sha256"
        self._vectors = folder / "vectors.f32"
        self.dimension = self._model.dimension
        self._rows: dict[bytes, int] = {}
        self._load()

    def of(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, of unit length, in order."""
        digests = [hashlib.sha256(text.encode()).digest() for text in texts]
        missing = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self._rows}
        new = list(missing.items())
        for first in range(0, len(new), _AT_ONCE):
            self._add(new[first : first + _AT_ONCE])
            if len(new) > _AT_ONCE:
                print(f"  embedded {min(first + _AT_ONCE, len(new))} of {len(new)}", flush=True)
        return self._matrix[[self._rows[digest] for digest in digests]]

    def _load(self) -> None:
        keys = self._keys.read_bytes() if self._keys.exists() else b""
        count = len(keys) // _DIGEST
        held = np.fromfile(self._vectors, np.float32) if self._vectors.exists() else np.empty(0, np.float32)
        # A run that was ended between its two writes leaves a row without a key.
        count = min(count, len(held) // self.dimension)
        self._matrix: Vectors = held[: count * self.dimension].reshape(count, self.dimension)
        self._rows = {keys[row * _DIGEST : (row + 1) * _DIGEST]: row for row in range(count)}

    def _add(self, batch: Sequence[tuple[bytes, str]]) -> None:
        new = asyncio.run(self._model.embed([text for _, text in batch]))
        with self._vectors.open("r+b" if self._vectors.exists() else "w+b") as out:
            out.seek(len(self._rows) * self.dimension * 4)
            out.write(new.astype("<f4").tobytes())
        with self._keys.open("r+b" if self._keys.exists() else "w+b") as out:
            out.seek(len(self._rows) * _DIGEST)
            out.write(b"".join(digest for digest, _ in batch))
        for digest, _ in batch:
            self._rows[digest] = len(self._rows)
        self._matrix = np.concatenate([self._matrix, new])
