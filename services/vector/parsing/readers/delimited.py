"""CSV and its kin: comma, semicolon, tab or bar between the fields."""

import csv
import io
from typing import Final

from services.vector.parsing.model import ParseFailed, Reason
from services.vector.parsing.readers.text import decoded
from services.vector.parsing.reading.builder import Builder, clean
from services.vector.parsing.reading.tables import Sheet

_SEPARATORS: Final = ",;\t|"
_LOOKED_AT: Final = 20


def read_csv(data: bytes, declared: str | None, builder: Builder) -> None:
    """A line a record. Raises ParseFailed: MALFORMED, TOO_LARGE."""
    text = clean(decoded(data, declared, builder))
    csv.field_size_limit(builder.limits.text_chars)
    sheet = Sheet(builder)
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator(text)):
            sheet.add(list(enumerate(row)))
    except csv.Error:
        raise ParseFailed(Reason.MALFORMED, "Its fields can't be told apart. Send it as plain text.") from None
    sheet.end()


def separator(text: str) -> str:
    """What divides the first records most evenly into the most fields; a comma when nothing does."""
    best, best_score = ",", (0.0, 0)
    lines = text[: 64 * 1024].splitlines()[:_LOOKED_AT]
    for candidate in _SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=candidate) if row]
        except csv.Error:
            continue
        usual = max(set(widths), key=widths.count, default=1)
        score = (widths.count(usual) / len(widths) if widths else 0.0, usual)
        if usual > 1 and score > best_score:
            best, best_score = candidate, score
    return best
