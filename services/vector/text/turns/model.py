"""What a conversation is made of, and when something is one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

FEWEST: Final = 4
"""Turns without which nothing is taken for a conversation by its speakers' names alone."""
_CHANGES: Final = 1 / 3
"""Share of the turns behind which somebody else speaks."""
_ROUNDS: Final = 0.8
"""Share of the turns behind which the usual one speaks, from which on they are fields."""


@dataclass(frozen=True, slots=True)
class Turn:
    """text[start:end] of a document, without white space around it: what somebody says, with the line that says who."""

    start: int
    end: int
    speaker: str
    """Folded; empty: nobody's, such as a preamble."""
    at: int
    """Where the speaker's line begins; `start` may be before it, at the headings and dates that lead to it."""
    date: str = ""
    """The line with a date that it stands under."""


def alternate(speakers: Sequence[str]) -> bool:
    """Whether these speak with each other by turns: at least two of them, at least twice, and in no fixed round.

    Fields of records repeat as well, but each time in the same order.
    """
    counts = Counter(speakers)
    if len(speakers) < max(FEWEST, 2 * len(counts)) or sum(count > 1 for count in counts.values()) < 2:
        return False
    changes = sum(one != other for one, other in pairwise(speakers))
    return changes >= _CHANGES * (len(speakers) - 1) and not _in_rounds(speakers)


def _in_rounds(speakers: Sequence[str]) -> bool:
    """Whether nearly always the same one follows each, and at least three follow one another so."""
    followers: dict[str, Counter[str]] = {}
    for one, other in pairwise(speakers):
        followers.setdefault(one, Counter())[other] += 1
    usual = {one: counted.most_common(1)[0] for one, counted in followers.items()}
    if sum(count for _, count in usual.values()) < _ROUNDS * (len(speakers) - 1):
        return False
    round_ = [speakers[0]]
    while round_[-1] in usual and (following := usual[round_[-1]][0]) not in round_:
        round_.append(following)
    # The round is what comes back to itself.
    return round_[-1] in usual and len(round_) - round_.index(usual[round_[-1]][0]) > 2


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """text[start:end] without the white space around it."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
