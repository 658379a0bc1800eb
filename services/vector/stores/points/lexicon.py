"""How a passage's words are stored.

For finding: `terms`, 32 bits of each word's hash, in an array under a GIN index. For scoring: `weights`, for each word
48 bits of its hash and one byte with its count, in which PostgreSQL looks for a word as for six bytes in a string. Two
words with the same 32 bits make a candidate that scores nothing; with the same 48 bits, or across the border of two
entries, they would be mistaken for each other about once in 10^12 comparisons. Which candidates are worth that is told
by their outlines (terms/outlines.py).

For phrases: `sequence`, the 48 bits of each term in the order of the text, where a phrase stands as a string of bytes.
"""

import functools
import hashlib
from collections.abc import Iterable
from typing import Final

HASH_BYTES: Final = 6
ENTRY_BYTES: Final = HASH_BYTES + 1
NUMBER_BYTES: Final = 4
MOST: Final = 255
"""The largest count that a byte says."""


def keys(weights: bytes) -> list[bytes]:
    """The keys of the words in `weights`."""
    return [weights[place : place + HASH_BYTES] for place in range(0, len(weights), ENTRY_BYTES)]


def count(weights: bytes, word: str) -> int:
    """How often the word stands in a passage with these `weights`."""
    wanted = key(word)
    for place in range(0, len(weights), ENTRY_BYTES):
        if weights[place : place + HASH_BYTES] == wanted:
            return weights[place + HASH_BYTES]
    return 0


def sequence(terms: Iterable[str]) -> bytes:
    """Terms in their order, as `sequence` of a passage or of a phrase."""
    return b"".join(map(key, terms))


@functools.lru_cache(maxsize=1 << 16)
def key(word: str) -> bytes:
    """The word's 48 bits."""
    return hashlib.blake2b(word.encode(), digest_size=HASH_BYTES).digest()


def number(hashed: bytes) -> int:
    """The first 32 of them as PostgreSQL's int4."""
    return int.from_bytes(hashed[:NUMBER_BYTES], "big", signed=True)
