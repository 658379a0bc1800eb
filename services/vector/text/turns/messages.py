"""Messages in JSON: what chat programs and the interfaces of models write, as it stands or as our parser shows it."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from services.vector.text.turns.model import Turn, alternate, trimmed

_WHO: Final = ("role", "speaker", "from", "sender", "author", "user", "username", "name", "participant", "nick")
_WHAT: Final = ("content", "text", "message", "body", "value", "utterance", "msg")
_INSIDE: Final = ("", "name", "username", "role", "id")
"""Where somebody's name is, if it is not the value itself; the better ones first."""
_ROLE_NAMES: Final = "user assistant system human gpt ai bot model tool function developer agent"
_ROLES: Final = frozenset(_ROLE_NAMES.split())
_LIST: Final = re.compile(r'"[^"\n]{1,60}"\s*:\s*\[\s*(?=\{)')
_BETWEEN: Final = re.compile(r"[\s,]*")
_LISTS: Final = 16
"""Looked at in one text: nested ones would take quadratic time."""
_FEWEST: Final = 2
_MOST_OTHERS: Final = 0.1
"""Share of what stands between messages without being one."""


class _Message(NamedTuple):
    start: int
    end: int
    speaker: str


def turns(text: str) -> list[Turn]:
    """The turns of a JSON text, all of it; none when it is no conversation. Lines of one message each, or one list."""
    stripped = text.lstrip("\ufeff \t\r\n")
    if not stripped or stripped[0] not in "[{":
        return []
    for items in _lists(text, len(text) - len(stripped)):
        found = [_message(start, end, value) for start, end, value in items]
        messages = [one for one in found if one is not None]
        if messages and len(found) - len(messages) <= _MOST_OTHERS * len(found) and _converse(messages):
            return _all(text, messages)
    return []


def shown(text: str, records: Iterable[tuple[int, int]]) -> list[Turn]:
    """The same of what our parser made of JSON: records of lines `path: value`."""
    messages = [one for start, end in records for one in _of_record(text, start, end)]
    return _all(text, messages) if _converse(messages) else []


def _lists(text: str, start: int) -> Iterator[list[tuple[int, int, Any]]]:
    """Lists that may be the messages: the lines, or the text's list, or the first one inside of it that fits."""
    if text[start] == "[":
        yield _items(text, start + 1)
        return
    lines = _json_lines(text)
    if len(lines) > 1:
        yield lines
        return
    for found in islice(_LIST.finditer(text, start), _LISTS):
        items = _items(text, found.end())
        if len(items) >= _FEWEST:
            yield items
            return


def _json_lines(text: str) -> list[tuple[int, int, Any]]:
    """One value a line; nothing when a line is none."""
    found = []
    for line in re.finditer(r"[^\n]+", text):
        start, end = trimmed(text, *line.span())
        if start < end:
            try:
                found.append((start, end, json.loads(text[start:end])))
            except (ValueError, RecursionError):
                return []
    return found


def _items(text: str, place: int) -> list[tuple[int, int, Any]]:
    """The values from a place in a list on, to its end or to what is no JSON."""
    decoder = json.JSONDecoder()
    found: list[tuple[int, int, Any]] = []
    while True:
        between = _BETWEEN.match(text, place)
        place = place if between is None else between.end()
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return found
        found.append((place, end, value))
        place = end


def _message(start: int, end: int, value: Any) -> _Message | None:
    if not isinstance(value, dict):
        return None
    speaker = next((name for key in _WHO if (name := _named(value.get(key)))), "")
    said = any(isinstance(value.get(key), (str, list)) for key in _WHAT)
    return _Message(start, end, speaker.casefold()) if speaker and said else None


def _named(value: Any) -> str:
    if isinstance(value, dict):
        return next((name for key in _INSIDE[1:] if isinstance(name := value.get(key), str)), "")
    return value if isinstance(value, str) else ""


def _of_record(text: str, start: int, end: int) -> Iterator[_Message]:
    """The messages in one record: it is one itself, or holds a list of them."""
    lines = [(line.start(), line.end(), line["path"].split("."), line["value"])
             for line in re.finditer(r"(?P<path>[^:\n]+): (?P<value>[^\n]*)", text[start:end])]  # fmt: skip
    who: dict[tuple[str, ...], tuple[int, int, str]] = {}
    what: set[tuple[str, ...]] = set()
    for _, _, path, value in lines:
        place = next((place for place, name in enumerate(path) if name in _WHO or name in _WHAT), None)
        if place is not None and (place == 0 or path[place - 1].isdigit()):
            above = tuple(path[:place])
            if path[place] in _WHAT:
                what.add(above)
            elif (inner := ".".join(path[place + 1 :])) in _INSIDE:
                named = (_WHO.index(path[place]), _INSIDE.index(inner), value)
                who[above] = min(named, who.get(above, named))
    spans: dict[tuple[str, ...], tuple[int, int]] = {}
    for first, last, path, _ in lines:
        for above in (tuple(path[:size]) for size in range(len(path) - 1, -1, -1)):
            if above in what and above in who:
                spans[above] = (spans.get(above, (first, last))[0], last)
                break
    for above, (first, last) in spans.items():
        yield _Message(start + first, start + last, who[above][-1].casefold())


def _converse(messages: Sequence[_Message]) -> bool:
    speakers = [one.speaker for one in messages]
    if len(messages) >= _FEWEST and len(set(speakers)) > 1 and _ROLES.issuperset(speakers):
        return True
    return alternate(speakers)


def _all(text: str, messages: Sequence[_Message]) -> list[Turn]:
    """The messages, and what stands before, between and behind them if it says anything."""
    found: list[Turn] = []
    place = 0
    for one in [*messages, _Message(len(text), len(text), "")]:
        first, last = trimmed(text, place, one.start)
        if any(character.isalnum() for character in text[first:last]):
            found.append(Turn(first, last, "", first))
        if one.start < one.end:
            found.append(Turn(one.start, one.end, one.speaker, one.start))
        place = one.end
    return found
