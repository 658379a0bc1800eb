"""Made-up points: clustered vectors, texts of Zipf-distributed words, payloads to filter by. The same for a seed.

Vectors of texts lie near a surface of few dimensions, and in clusters: so do these. A point is the centre of its
cluster plus noise in a latent space, brought to the full dimension by one random linear map, plus a little noise there.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

_LATENT: Final = 32
_SPREAD: Final = 0.6
"""Of a cluster, beside the distance 1 between centres (per latent dimension)."""
_OFF: Final = 0.1
_POINTS_A_CLUSTER: Final = 500
_WORDS: Final = 20_000
_LENGTH: Final = 40
QUESTION: Final = 12
"""Words of a question. MuSiQue's have 13, and for 19 of 20 the rarest is in at most 1.2% of the passages, never in 10%:
of twelve made-up words one is nearly always as rare, of six not (1.4% had none below 10%)."""
BANDS: Final = (100, 1000)
"""A `tag…` and a `band…` of each of these many values: 1% and 0.1% of the points each."""


@dataclass(frozen=True)
class Data:
    """`count` points of `dimension` numbers."""

    count: int
    dimension: int = 384
    seed: int = 7

    @cached_property
    def _map(self) -> NDArray[np.float64]:
        return np.random.default_rng(self.seed).normal(size=(_LATENT, self.dimension))

    @cached_property
    def _centres(self) -> NDArray[np.float64]:
        clusters = max(8, self.count // _POINTS_A_CLUSTER)
        return np.random.default_rng(self.seed + 1).normal(size=(clusters, _LATENT))

    @cached_property
    def clusters(self) -> NDArray[np.int64]:
        """The cluster of each point."""
        return np.random.default_rng(self.seed + 2).integers(0, len(self._centres), self.count)

    @cached_property
    def vectors(self) -> Vectors:
        """(count, dimension), each of length 1."""
        return self._made(self.clusters, self.seed + 3)

    def queries(self, count: int) -> Vectors:
        """(count, dimension): as the points are, but none of them."""
        dice = np.random.default_rng(self.seed + 4)
        return self._made(dice.integers(0, len(self._centres), count), self.seed + 5)

    def _made(self, clusters: NDArray[np.int64], seed: int) -> Vectors:
        dice = np.random.default_rng(seed)
        latent = self._centres[clusters] + _SPREAD * dice.normal(size=(len(clusters), _LATENT))
        whole = latent @ self._map + _OFF * np.sqrt(_LATENT) * dice.normal(size=(len(clusters), self.dimension))
        made: Vectors = (whole / np.linalg.norm(whole, axis=1, keepdims=True)).astype(np.float32)
        return made

    @cached_property
    def _words(self) -> NDArray[np.int64]:
        """(count, length): numbers of words, Zipf-distributed; a quarter of them are the cluster's own."""
        dice = np.random.default_rng(self.seed + 6)
        ranks = dice.zipf(1.3, size=(self.count, _LENGTH)) % _WORDS
        own = (self.clusters[:, None] * 37 + dice.integers(0, 50, size=ranks.shape)) % _WORDS
        return np.where(dice.random(ranks.shape) < 0.25, own, ranks)

    def text(self, n: int) -> str:
        """The text of point `n`."""
        return " ".join(word(int(one)) for one in self._words[n])

    def question(self, number: int) -> str:
        """QUESTION words that stand together in some text, some of them more than once."""
        dice = np.random.default_rng((self.seed, number))
        n, place = int(dice.integers(self.count)), int(dice.integers(_LENGTH - QUESTION))
        return " ".join(word(int(one)) for one in self._words[n][place : place + QUESTION])

    @cached_property
    def _ranks(self) -> NDArray[np.int64]:
        """The place of each point along one direction: what lies near it has a place near its own."""
        along = self.vectors @ np.random.default_rng(self.seed + 7).normal(size=self.dimension)
        ranks = np.empty(self.count, np.int64)
        ranks[np.argsort(along)] = np.arange(self.count)
        return ranks

    @cached_property
    def _random_ranks(self) -> NDArray[np.int64]:
        return np.random.default_rng(self.seed + 8).permutation(self.count)

    def field(self, name: str) -> NDArray[np.int64]:
        """A payload's field for all points: `tag100` (independent of the vector), `band1000` (follows it), …"""
        ranks = self._ranks if name.startswith("band") else self._random_ranks
        return ranks * int(name.lstrip("bandtg")) // self.count

    @cached_property
    def _fields(self) -> dict[str, NDArray[np.int64]]:
        return {f"{kind}{many}": self.field(f"{kind}{many}") for kind in ("tag", "band") for many in BANDS}

    def payload(self, n: int) -> dict[str, Any]:
        """The payload of point `n`."""
        return {"source": f"made-up/{self.clusters[n]}"} | {name: int(of[n]) for name, of in self._fields.items()}

    def nearest(self, queries: Vectors, k: int, among: NDArray[np.bool_] | None = None) -> list[set[int]]:
        """By brute force: the `k` nearest points of each query, all or those `among`."""
        chosen = np.arange(self.count) if among is None else np.flatnonzero(among)
        found = []
        for one in queries:
            scores = self.vectors[chosen] @ one
            found.append({int(n) for n in chosen[np.argsort(-scores, kind="stable")[:k]]})
        return found


def word(number: int) -> str:
    """A made-up word that nothing stems: the number in syllables."""
    consonants, vowels = "bdfgklmnprstvz", "aeiou"
    text = ""
    while True:
        number, rest = divmod(number, len(consonants) * len(vowels))
        text += consonants[rest // len(vowels)] + vowels[rest % len(vowels)]
        if not number:
            return text + "x"
