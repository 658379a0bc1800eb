"""The answer that the provider gives and the callers expect."""

from typing import Final

CHUNKS: Final = 200
PACE: Final = 0.025
"""Seconds between two chunks of the model `paced`."""

WORDS: Final = [f"word{number} " for number in range(CHUNKS)]
"""What the chunks say, one word each."""
