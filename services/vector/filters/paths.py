"""Keys of conditions: `author.name`, `"a.b".c`."""

import re
from typing import Final

from services.vector.filters.tree import Path

_PART: Final = re.compile(r'"([^"]+)"|([^".]+)')
DEPTH: Final = 16
"""Names a key may have."""


def parse(key: str) -> Path:
    """The names of a key.

    Raises ValueError that says what is wrong.
    """
    names = []
    place = 0
    while True:
        found = _PART.match(key, place)
        if found is None:
            raise ValueError('must be names with dots between them; put a name with a dot into double quotes: "a.b".c')
        names.append(found[1] or found[2])
        place = found.end()
        if place == len(key):
            break
        if key[place] != ".":
            raise ValueError("must have a dot between names")
        place += 1
    if len(names) > DEPTH:
        raise ValueError(f"must have at most {DEPTH} names")
    return tuple(names)
