"""Threads of e-mail in one text: each message below the one that answers it."""

import re
from collections.abc import Iterator
from typing import Final

from services.vector.text.turns.model import Turn, trimmed

_SENDER: Final = re.compile(
    r"(?:^[ \t]*-{2,}[^\n-]{4,60}-{2,}[ \t]*\r?\n\s{0,4})?"
    r"^(?P<quoted>(?:>[ ]?)*)\*?(?:From|Von|De|Da|Van|보낸 사람|差出人|发件人):\*?[ \t]+(?P<sender>\S[^\n]{0,200})\n"
    r"(?=(?:(?P=quoted)[^\n]{0,300}\n){0,3}(?P=quoted)\*?"
    r"(?:Date|Sent|Subject|Datum|Gesendet|Betreff|Envoyé|Objet|Fecha|Asunto|보낸 날짜|제목|送信日時|件名"
    r"|发送时间|主题):)",
    re.MULTILINE,
)
"""The lines above a message, as mail programs write them: its sender, then what it is about, or when it was sent."""
_WROTE: Final = re.compile(
    r"^(?:>[ ]?)*(?:On|Am|Le|El|Il|Op)[ ](?=[^\n]{0,150}\d)(?P<sender>[^\n]{6,150}(?:\n(?:>[ ]?)*[^\n]{1,80})?)"
    r"[ ](?:wrote|schrieb[^\n:]{0,60}|a écrit|escribió|ha scritto|schreef[^\n:]{0,60})[ ]?:[ \t]*$",
    re.MULTILINE,
)
"""`On Monday, 5 January 2026, Ada <ada@example.org> wrote:`"""
_FEWEST: Final = 2


def turns(text: str) -> list[Turn]:
    """The messages of a thread, all of the text; none when it has fewer than two."""
    begins = {found.start(): found["sender"] for pattern in (_SENDER, _WROTE) for found in pattern.finditer(text)}
    return list(_cut(text, begins)) if len(begins) >= _FEWEST else []


def _cut(text: str, begins: dict[int, str]) -> Iterator[Turn]:
    places = sorted(begins)
    for start, end in zip([0, *places], [*places, len(text)], strict=True):
        first, last = trimmed(text, start, end)
        if first < last:
            yield Turn(first, last, begins.get(start, "").strip().casefold(), first)
