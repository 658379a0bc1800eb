"""Names within a few typing mistakes of each other.

A mistake is a letter put in, left out or replaced, or two neighbours swapped (optimal string alignment, the restricted
Damerau–Levenshtein distance).
"""

from collections.abc import Sequence

from rapidfuzz.distance import OSA


def allowed(form: str) -> int:
    """How many mistakes are looked past: none in up to two characters, one in up to five, else two."""
    if len(form) <= 2:
        return 0
    return 1 if len(form) <= 5 else 2


def pieces(form: str, mistakes: int) -> Sequence[str]:
    """Parts of a text of which any text within so many mistakes holds at least one, as it is.

    One more part than mistakes, with a character between each two: then no single mistake, a swap included, touches two
    of them, so that one is left whole.
    """
    count = mistakes + 1
    each, over = divmod(len(form) - mistakes, count)
    found: list[str] = []
    begin = 0
    for number in range(count):
        end = begin + each + (number < over)
        found.append(form[begin:end])
        begin = end + 1
    return found


def distance(one: str, other: str, most: int) -> int:
    """How many mistakes lie between two texts; `most + 1` for all beyond."""
    return OSA.distance(one, other, score_cutoff=most)
