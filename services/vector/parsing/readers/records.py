"""JSON and JSON Lines: every record as lines of `path: value`."""

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from services.vector.parsing.model import ParseFailed, Reason
from services.vector.parsing.readers.text import decoded
from services.vector.parsing.reading.builder import Builder, squeeze

_LONGEST_PATH: Final = 512


def read_json(data: bytes, declared: str | None, builder: Builder) -> None:
    """Records are the lines of the file, else the items of its array, else the one value it is.

    Raises ParseFailed: MALFORMED (with the line), TOO_DEEP, TOO_LARGE.
    """
    text = decoded(data, declared, builder).lstrip("\ufeff")
    first, _, more = text.lstrip().partition("\n")
    if more.strip() and _parses(first):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                _record(_load(line, f"Line {number}"), builder)
        return
    value = _load(text, "The file")
    del text
    for one in value if isinstance(value, list) else [value]:
        _record(one, builder)


def _parses(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    except RecursionError:
        return True
    return True


def _load(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise _deep() from None
    except ValueError:
        raise ParseFailed(Reason.MALFORMED, f"{what} is not valid JSON.") from None


def _record(value: Any, builder: Builder) -> None:
    lines: list[str] = []
    size = 0
    for line in _flat(value, "", builder.limits.depth):
        lines.append(line)
        size += len(line) + 1
        if size > builder.limits.text_chars:
            break
    # Beyond the limit the builder says so.
    builder.add("\n".join(lines), "record")


def _flat(value: Any, path: str, depth: int) -> Iterator[str]:
    if depth == 0:
        raise _deep()
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, _joined(path, squeeze(key)), depth - 1)
    elif isinstance(value, list):
        if all(not isinstance(inner, (dict, list)) for inner in value):
            if shown := ", ".join(_shown(inner) for inner in value if inner is not None):
                yield _line(path, shown)
            return
        for place, inner in enumerate(value):
            yield from _flat(inner, _joined(path, str(place)), depth - 1)
    elif value is not None and (shown := _shown(value)):
        yield _line(path, shown)


def _line(path: str, shown: str) -> str:
    return f"{path}: {shown}" if path else shown


def _joined(path: str, key: str) -> str:
    joined = f"{path}.{key}" if path else key
    # Every leaf repeats its path: without a limit a deep record grows by the square of its depth.
    return joined if len(joined) <= _LONGEST_PATH else "…" + joined[-_LONGEST_PATH:]


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return squeeze(value)
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    return json.dumps(value)


def _deep() -> ParseFailed:
    return ParseFailed(Reason.TOO_DEEP, "Its JSON is nested too deep.")
