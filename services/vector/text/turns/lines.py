"""Lines that say who speaks: transcripts, and what chat programs write when a chat is exported."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from services.vector.text.turns.model import Turn, alternate, trimmed

_MONTH: Final = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez|janv|févr|avr|juin|juil|août|déc)[^\W\d_]*\.?"
)
_DATE: Final = (
    rf"(?:\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}\.?|\d{{1,2}}\.?[ ]{_MONTH},?[ ]\d{{4}}|{_MONTH}[ ]\d{{1,2}},?[ ]\d{{4}}"
    r"|\d{4}[年년][ ]?\d{1,2}[月월][ ]?\d{1,2}[日일](?:[ ]\w요일)?|today|yesterday)"
)
_TIME: Final = (
    r"(?:(?:오전|오후|上午|下午)[ ]?)?\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,3})?)?(?:[ \u202f]?[ap]\.?m\.?)?"
    r"(?:z|[+-]\d{2}:?\d{2})?"
)
_STAMP: Final = rf"(?:{_DATE},?(?:[ \u202f]at[ ]|[T \u202f])?)?{_TIME}"
_NAME: Final = r"(?P<name>[^\W\d_][\w.'’-]{0,30}(?:[ ][\w.'’&()-]{1,20}){0,3})"
_SAYS: Final = re.compile(
    rf"(?:[\[(]?{_STAMP}[\])]?,?[ ]*[-–—]?[ ]*)?(?P<mark>\*\*|__)?{_NAME}(?(mark)(?::(?P=mark)|(?P=mark)[ ]?:)|[ ]?:)"
    r"(?=\s|$)",
    re.IGNORECASE,
)
"""`Ada: …`, `**Ada:** …`, `[10:23] Ada: …`, `31.12.23, 21:15 - Ada: …`"""
_IN_BRACKETS: Final = re.compile(
    rf"(?:[\[(]?{_STAMP}[\])]?[ ]*)?(?:<[@+%~&]?(?P<name>[^\W\d_][^<>=/\s]{{0,39}})>[ ](?=\S)"
    r"|<v[ ](?P<voice>[^<>=\n]{1,40})>(?=\S))"
    rf"|\[(?P<talker>[^\[\]\n]{{1,40}})\][ ]\[{_TIME}\][ ](?=\S)",
    re.IGNORECASE,
)
"""`<ada> …`, `[10:23] <ada> …`; `<v Ada>…` in subtitles; `[에이다] [오후 3:05] …`"""
_ABOVE: Final = re.compile(
    rf"{_NAME}(?:[ ]{{1,4}}|[ ]?[-–—,][ ])[\[(]?{_STAMP}[\])]?[ ]*$"
    rf"|[\[(]{_STAMP}[\])][ ]{_NAME.replace('name', 'talker')}[ ]*$",
    re.IGNORECASE,
)
"""A line above what is said: `Ada  10:23 AM`, `Ada, [31.12.2023 21:15]`, `[10:23] Ada`"""
_DAY: Final = re.compile(rf"[\W_]*(?:\w{{2,12}}day,?[ ])?{_DATE}(?:[T ]+{_TIME})?[\W_]*$", re.IGNORECASE)
_LEADS: Final = re.compile(r"#{1,6}[ \t]+\S|(?:\d{2,}:)?\d{2}:\d{2}[.,]\d{3}[ ]+-->[ ]")
"""A heading; when a subtitle is shown."""
_LINE: Final = re.compile(r"[^\n]*\n?")
_LONGEST: Final = 40
"""Characters of a name."""
_LOOKED_AT: Final = 160
"""Characters of a line in which its speaker stands."""

_ROLE_NAMES: Final = "user assistant system human ai bot agent customer client support model tool you me"
_SMALL_WORDS: Final = "of the von van de del der di da la le el al bin"
_FIELD_NAMES: Final = """
info debug warn warning error fatal critical trace notice verbose severe fine
note notes tip hint caution important example examples see todo fixme
term definition meaning description summary abstract synonym synonyms usage source sources reference references
name title subject from to cc bcc sent date time type status id url link author version priority category tags
added fixed changed removed deprecated security updated improved
input output expected actual given when then step result results returns raises args parameters default
von an betreff gesendet datum hinweis beispiel achtung quelle begriff bedeutung
signed-off-by co-authored-by reviewed-by classifier requires-dist provides-extra project-url
copyright license files comment
"""
_ELEMENT_NAMES: Final = """
a b i p u br dd div dl dt em h1 h2 h3 h4 h5 h6 hr img li ol pre span strong table tbody td th thead tr ul
"""
_ROLES: Final = frozenset(_ROLE_NAMES.split())
"""Who speaks without a capital."""
_SMALL: Final = frozenset(_SMALL_WORDS.split())
"""Inside of names."""
_FIELDS: Final = frozenset(_FIELD_NAMES.split())
"""What a colon follows that nobody is called."""
_ELEMENTS: Final = frozenset(_ELEMENT_NAMES.split())
"""Of HTML."""

_DENSE: Final = 0.5
_DENSE_WITH_TIMES: Final = 0.2
"""Share of the lines, or of the paragraphs, that begin a turn."""
_SPOKEN: Final = 0.5
_SENTENCE: Final = re.compile(r"[.!?…。？！][\"'”’)]*$")
_FEW_WORDS: Final = 3


class _Line(NamedTuple):
    start: int
    end: int
    """Without the line break."""
    opens: bool
    """Whether an empty line, or nothing, stands before it."""


class _Said(NamedTuple):
    """A line that begins a turn."""

    place: int
    """Among the lines."""
    speaker: str
    timed: bool
    rest: str
    """What is said in it."""


def turns(text: str, skipped: Sequence[tuple[int, int]] = ()) -> list[Turn]:
    """The turns of a text whose lines say who speaks, all of it; none when it is no conversation.

    `skipped`: code and tables, in order, whose lines begin nothing.
    """
    lines = list(_lines(text))
    outside = list(_outside(lines, skipped))
    said = [one for place in outside if (one := _said(text, lines, place)) is not None]
    if not _converse(text, lines, said):
        return []
    return list(_cut(text, lines, {one.place: one for one in said}, set(outside)))


def _lines(text: str) -> Iterator[_Line]:
    """The lines that hold anything."""
    opens = True
    for found in _LINE.finditer(text):
        start, end = trimmed(text, found.start(), found.end())
        if start < end:
            yield _Line(start, end, opens)
        opens = start == end


def _outside(lines: Sequence[_Line], skipped: Iterable[tuple[int, int]]) -> Iterator[int]:
    spans = iter(skipped)
    span = next(spans, None)
    for place, line in enumerate(lines):
        while span is not None and span[1] <= line.start:
            span = next(spans, None)
        if span is None or line.start < span[0]:
            yield place


def _said(text: str, lines: Sequence[_Line], place: int) -> _Said | None:
    line = lines[place]
    if _indented(text, lines, place):
        # Code, or what belongs to the line above.
        return None
    head = text[line.start : min(line.end, line.start + _LOOKED_AT)]
    if ":" not in head and "<" not in head:
        return None
    found = _IN_BRACKETS.match(head)
    if found is not None:
        if found["name"] and found["name"].casefold() in _ELEMENTS:
            return None
        name = found["name"] or found["voice"] or found["talker"]
        timed = not head.startswith("<") or bool(found["voice"])
        return _Said(place, name.casefold().strip(), timed, text[line.start + found.end() : line.end])
    found = _SAYS.match(head)
    if found is not None:
        name, before = found["name"], head[: found.start("name")].strip("*_ ")
        # Of what has times in front, only chats write the date with a comma: logs don't.
        if not _may_speak(name, any_case=", " in before, many=bool(before or found["mark"])):
            return None
        timed = bool(before)
        if line.start + found.end() == line.end and _indented(text, lines, place + 1):
            # A key, with what it holds below it.
            return None
        return _Said(place, name.casefold(), timed, text[line.start + found.end() : line.end].strip())
    found = _ABOVE.match(head)
    if found is not None and place + 1 < len(lines):
        name = found["name"] or found["talker"]
        if _may_speak(name, any_case=True, many=True):
            following = lines[place + 1]
            return _Said(place, name.casefold(), True, text[following.start : following.end])
    return None


def _indented(text: str, lines: Sequence[_Line], place: int) -> bool:
    start = lines[place].start if place < len(lines) else 0
    return start > 0 and text[start - 1] not in "\n\r\ufeff"


def _may_speak(name: str, *, any_case: bool, many: bool) -> bool:
    """`any_case`: its place says that it is a name; `many`: its words may be written in any way."""
    folded = name.casefold()
    if len(name) > _LONGEST or folded in _FIELDS:
        return False
    if folded in _ROLES:
        return True
    first, *others = name.split(" ")
    if first[0].islower() and not any_case:
        return False
    return many or all(not one[0].islower() or one in _SMALL for one in others)


def _converse(text: str, lines: Sequence[_Line], said: Sequence[_Said]) -> bool:
    if not alternate([one.speaker for one in said]):
        return False
    timed = 2 * sum(one.timed for one in said) >= len(said)
    begun = {one.place for one in said}
    paragraphs = [place for place, line in enumerate(lines) if line.opens]
    share = max(len(begun) / len(lines), sum(place in begun for place in paragraphs) / len(paragraphs))
    if share < (_DENSE_WITH_TIMES if timed else _DENSE):
        return False
    spoken = sum(_is_spoken(one.rest or _next(text, lines, one.place)) for one in said)
    return timed or spoken >= _SPOKEN * len(said)


def _is_spoken(rest: str) -> bool:
    """Whether this is said rather than filled in: a sentence, or several words."""
    return _SENTENCE.search(rest) is not None or len(rest.split(maxsplit=_FEW_WORDS)) >= _FEW_WORDS


def _next(text: str, lines: Sequence[_Line], place: int) -> str:
    following = lines[place + 1 : place + 2]
    return text[following[0].start : following[0].end] if following else ""


def _cut(text: str, lines: Sequence[_Line], said: dict[int, _Said], outside: set[int]) -> Iterator[Turn]:
    """From each speaker's line to the next; headings, dates and cues lead what follows them."""
    start = at = lines[0].start
    speaker = date = day = ""
    # Whether the turn holds more than lines that lead to it.
    holds = False
    for place, line in enumerate(lines):
        one = said.get(place)
        whole = text[line.start : min(line.end, line.start + _LOOKED_AT)]
        apart = one is None and place in outside
        is_day = apart and _DAY.match(whole) is not None
        leads = is_day or (apart and _LEADS.match(whole) is not None)
        if holds and (one is not None or leads):
            yield Turn(*trimmed(text, start, line.start), speaker, at, date)
            start, speaker, holds = line.start, "", False
        if is_day:
            day = whole.strip(" \t-–—=*_#~•")
        if one is not None:
            speaker = one.speaker
        if not leads and not holds:
            at, date, holds = line.start, day, True
    yield Turn(*trimmed(text, start, lines[-1].end), speaker, at, date)
