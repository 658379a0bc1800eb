"""XLSX: sheet by sheet, row by row, with dates as dates; formulas by the values they had when the file was saved."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from services.vector.parsing.model import ParseFailed, Reason
from services.vector.parsing.readers.office.package import Package, related
from services.vector.parsing.reading.builder import Builder
from services.vector.parsing.reading.markup import attribute, read_xml
from services.vector.parsing.reading.tables import Sheet

_COLUMN: Final = re.compile(r"([A-Z]{1,3})\d*")
_BUILT_IN_DATES: Final = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
"""Numbers of formats that every program knows without a definition (ECMA-376 part 1, 18.8.30)."""
_NOT_CODE: Final = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')
_DATE_CODE: Final = re.compile(r"[ymdhs]", re.I)
_EPOCH: Final = datetime(1899, 12, 30)
_EPOCH_1904: Final = datetime(1904, 1, 1)
_MOST_DAYS: Final = 2_958_466


def read_xlsx(data: bytes, builder: Builder) -> None:
    """Raises ParseFailed: MALFORMED, TOO_LARGE, TOO_DEEP, ENCRYPTED."""
    package = Package(data, builder.limits)
    package.name(builder)
    main = package.main()
    relations = package.relations(main)
    book = _Book()
    read_xml(package.archive.pieces(main), book, builder.limits)
    strings, styles = _Strings(), _Styles()
    for kind, events in (("sharedStrings", strings), ("styles", styles)):
        if part := related(relations, kind, package):
            read_xml(package.archive.pieces(part), events, builder.limits)
    sheets = [
        (name, relations[key].target)
        for name, key in book.sheets
        if key in relations and relations[key].kind == "worksheet"
    ]
    if len(sheets) > builder.limits.pages:
        raise ParseFailed(Reason.TOO_LARGE, f"It has more than {builder.limits.pages:,} sheets. Split it.")
    builder.pages = len(sheets)
    for number, (name, part) in enumerate(sheets, 1):
        builder.page = number
        builder.leave()
        builder.enter(1, name)
        cells = _Cells(Sheet(builder), strings.found, styles.dates, _EPOCH_1904 if book.from_1904 else _EPOCH)
        read_xml(package.archive.pieces(part), cells, builder.limits)
        cells.sheet.end()


class _Book:
    """The sheets in order: name and relation id."""

    def __init__(self) -> None:
        self.sheets: list[tuple[str, str]] = []
        self.from_1904 = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "sheet":
            key = next((text for key, text in attributes.items() if key.endswith("}id")), "")
            self.sheets.append((attributes.get("name", ""), key))
        elif name == "workbookPr":
            self.from_1904 = attributes.get("date1904") in ("1", "true")

    def end(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


class _Strings:
    """The texts that cells refer to by number."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._parts: list[str] = []
        self._in_text = False
        self._phonetic = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:  # noqa: ARG002 - one signature for all events
        if name == "si":
            self._parts = []
        elif name == "rPh":
            self._phonetic = True
        elif name == "t":
            self._in_text = not self._phonetic

    def end(self, name: str) -> None:
        if name == "si":
            self.found.append("".join(self._parts))
        elif name == "rPh":
            self._phonetic = False
        elif name == "t":
            self._in_text = False

    def text(self, text: str) -> None:
        if self._in_text:
            self._parts.append(text)


class _Styles:
    """Which of the cells' formats show dates."""

    def __init__(self) -> None:
        self.dates: list[bool] = []
        self._custom: dict[str, bool] = {}
        self._in_cells = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "numFmt":
            code = _NOT_CODE.sub("", attributes.get("formatCode", ""))
            self._custom[attributes.get("numFmtId", "")] = _DATE_CODE.search(code) is not None
        elif name == "cellXfs":
            self._in_cells = True
        elif name == "xf" and self._in_cells:
            number = attributes.get("numFmtId", "")
            built_in = number.isdecimal() and int(number) in _BUILT_IN_DATES
            self.dates.append(self._custom.get(number, built_in))

    def end(self, name: str) -> None:
        if name == "cellXfs":
            self._in_cells = False

    def text(self, text: str) -> None: ...


class _Cells:
    """One sheet's rows."""

    def __init__(self, sheet: Sheet, strings: list[str], dates: list[bool], epoch: datetime) -> None:
        self.sheet = sheet
        self._strings = strings
        self._dates = dates
        self._epoch = epoch
        self._row: list[tuple[int, str]] = []
        self._column = -1
        self._kind = ""
        self._style = 0
        self._parts: list[str] = []
        self._reading = False
        self._phonetic = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "row":
            self._row = []
            self._column = -1
        elif name == "c":
            self._column = _column(attribute(attributes, "r"), self._column + 1)
            self._kind = attributes.get("t", "n")
            style = attributes.get("s", "0")
            self._style = int(style) if style.isdecimal() else 0
            self._parts = []
        elif name == "rPh":
            self._phonetic = True
        elif name in ("v", "t"):
            self._reading = not self._phonetic

    def end(self, name: str) -> None:
        if name == "row":
            self.sheet.add(self._row)
        elif name == "c":
            shown = self._shown("".join(self._parts))
            if shown:
                self._row.append((self._column, shown))
        elif name == "rPh":
            self._phonetic = False
        elif name in ("v", "t"):
            self._reading = False

    def text(self, text: str) -> None:
        if self._reading:
            self._parts.append(text)

    def _shown(self, raw: str) -> str:
        if self._kind == "s":
            place = raw.strip()
            known = place.isdecimal() and len(place) < 10 and int(place) < len(self._strings)
            return self._strings[int(place)] if known else ""
        if self._kind == "b":
            return "TRUE" if raw.strip() == "1" else "FALSE"
        if self._kind == "e":
            return ""
        if self._kind != "n":
            return raw
        try:
            number = float(raw)
        except ValueError:
            return raw
        if self._style < len(self._dates) and self._dates[self._style] and 0 <= number < _MOST_DAYS:
            return _date(number, self._epoch)
        # Binary fractions are stored with 17 digits; 15 are what the program shows.
        return f"{number:.15g}"


def _date(days: float, epoch: datetime) -> str:
    moment = epoch + timedelta(seconds=round(days * 86_400))
    if days < 1:
        return moment.strftime("%H:%M:%S")
    if moment.time() == moment.min.time():
        return moment.strftime("%Y-%m-%d")
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _column(reference: str, following: int) -> int:
    """From 0; a cell without a reference stands beside the one before."""
    match = _COLUMN.match(reference)
    if match is None:
        return following
    number = 0
    for letter in match[1]:
        number = number * 26 + ord(letter) - 64
    return number - 1
