"""What an index consists of, as named arrays: to be written down, and put together again."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

Arrays = dict[str, NDArray[Any]]
"""By name; of a part of a part, the names joined by dots."""

_TEXT: Final = "surrogatepass"


class Kept:
    """Something whose state is that of its parts, and some numbers of its own."""

    parts: ClassVar[tuple[str, ...]] = ()
    """Attributes that are kept themselves."""

    def arrays(self) -> Arrays:
        """All of the state: views, valid until something changes."""
        found = self.own()
        for part in self.parts:
            inner: Kept = getattr(self, part)
            found |= {f"{part}.{name}": rows for name, rows in inner.arrays().items()}
        return found

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Takes a state over, and the arrays with it, in the place of its own.

        Raises ValueError when they are no such state.
        """
        for part in self.parts:
            begin = f"{part}."
            inner: Kept = getattr(self, part)
            inner.restore({name.removeprefix(begin): rows for name, rows in arrays.items() if name.startswith(begin)})
        self.take(arrays)

    def own(self) -> Arrays:
        """The state that is in no part."""
        return {}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Takes over what `own` gave."""


def taken(arrays: Mapping[str, NDArray[Any]], name: str, dtype: DTypeLike, width: int = 0) -> NDArray[Any]:
    """One of the arrays. `width`: numbers in a row; 0: rows are numbers. Raises ValueError when it is not like that."""
    rows = arrays.get(name)
    if rows is None or rows.dtype != np.dtype(dtype) or rows.shape[1:] != ((width,) if width else ()):
        raise ValueError(f"no array {name!r} of {np.dtype(dtype)}")
    return rows


def packed(texts: Iterable[str]) -> NDArray[np.uint8]:
    """Strings without a zero character, in one array."""
    return np.frombuffer("\0".join((*texts, "")).encode(errors=_TEXT), np.uint8)


def unpacked(rows: NDArray[np.uint8]) -> list[str]:
    """The strings of `packed`."""
    return rows.tobytes().decode(errors=_TEXT).split("\0")[:-1]
