"""Which format a file has: by its content, then by its name and declared type."""

import csv
import json
import re
from collections.abc import Sequence
from typing import Final

from services.vector.parsing.model import Format, Limits, ParseFailed, Reason
from services.vector.parsing.reading import decode
from services.vector.parsing.reading.archive import Archive

_BY_ENDING: Final[dict[str, Format]] = {
    "txt": "text", "text": "text", "log": "text", "rst": "text", "md": "markdown", "markdown": "markdown",
    "mdown": "markdown", "html": "html", "htm": "html", "xhtml": "html", "pdf": "pdf", "docx": "docx", "docm": "docx",
    "dotx": "docx", "pptx": "pptx", "pptm": "pptx", "ppsx": "pptx", "xlsx": "xlsx", "xlsm": "xlsx", "csv": "csv",
    "tsv": "csv", "tab": "csv", "json": "json", "jsonl": "json", "ndjson": "json", "epub": "epub", "eml": "email",
}  # fmt: skip
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_BY_TYPE: Final[dict[str, Format]] = {
    "text/plain": "text", "text/markdown": "markdown", "text/x-markdown": "markdown", "text/html": "html",
    "application/xhtml+xml": "html", "application/pdf": "pdf", _OFFICE + "wordprocessingml.document": "docx",
    _OFFICE + "presentationml.presentation": "pptx", _OFFICE + "spreadsheetml.sheet": "xlsx", "text/csv": "csv",
    "text/tab-separated-values": "csv", "application/json": "json", "application/x-ndjson": "json",
    "application/jsonl": "json", "application/epub+zip": "epub", "message/rfc822": "email",
}  # fmt: skip
_OTHERS: Final = (
    (b"\x89PNG", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"), (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"), (b"MM\0*", "a TIFF image"), (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"), (b"Rar!", "a RAR archive: unpack it"),
    (b"BZh", "a bzip2 archive: unpack it"), (b"\xfd7zXZ", "an xz archive: unpack it"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive: unpack it"), (b"{\\rtf", "RTF: save it as DOCX"),
    (b"%!PS", "PostScript: save it as PDF"), (b"SQLite format 3\0", "an SQLite database"), (b"\x7fELF", "a program"),
    (b"PAR1", "Parquet: export it as CSV or JSON Lines"),
)  # fmt: skip
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")
_OPEN_DOCUMENT: Final = b"application/vnd.oasis.opendocument"
_HEAD: Final = 64 * 1024
_HTML: Final = re.compile(
    # Possessive, or many comments could be divided among the repetitions in exponentially many ways.
    r"\s*+(?:<\?xml[^>]*>\s*+)?(?:(?><!--.*?-->)\s*+)*+<(?:!doctype\s+html|html|head|body)\b",
    re.S | re.I,
)
_MAIL_LINE: Final = re.compile(r"([!-9;-~]{1,64}):[ \t]?[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n")
_MAIL_NAMES: Final = frozenset((
    "received", "return-path", "delivered-to", "from", "to", "cc", "subject", "date", "message-id", "mime-version",
    "content-type", "reply-to",
))  # fmt: skip
_MAIL_ENOUGH: Final = 3
_HEADING: Final = re.compile(r"^#{1,6}[ \t]+\S", re.M)
_MARKS: Final = re.compile(
    r"^(?:```|~~~|[-*+][ \t]+\S|\d+\.[ \t]+\S|>[ \t]|\|.*\|[ \t]*$)|\[[^\]\n]+\]\([^)\n]+\)", re.M
)


def detect(data: bytes, name: str, media_type: str | None, limits: Limits) -> Format:
    """Raises ParseFailed: FORMAT_UNKNOWN with what it is instead, ENCRYPTED, EMPTY, and an archive's reasons."""
    if not data.strip(b" \t\r\n\0\xef\xbb\xbf\xfe\xff"):
        raise ParseFailed(Reason.EMPTY, "The file is empty.")
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _archived(data, limits)
    if data.startswith(_OLE):
        if _OLE_ENCRYPTED in data:
            raise ParseFailed(Reason.ENCRYPTED, "The Office file is encrypted. Remove its password.")
        raise _unknown("an Office file in the binary format of before 2007: save it as DOCX, PPTX or XLSX")
    for magic, what in _OTHERS:
        if data.startswith(magic):
            raise _unknown(what)
    if decode.is_binary(data):
        raise ParseFailed(Reason.FORMAT_UNKNOWN, "It is neither text nor in a format that is known here.")
    return _textual(data, told(name, media_type))


def told(name: str, media_type: str | None) -> Format | None:
    """What the name says, else the media type; None: neither says anything."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    kind = (media_type or "").partition(";")[0].strip().lower()
    return _BY_ENDING.get(ending) or _BY_TYPE.get(kind)


def _unknown(what: str) -> ParseFailed:
    return ParseFailed(Reason.FORMAT_UNKNOWN, f"It is {what}.")


def _archived(data: bytes, limits: Limits) -> Format:
    archive = Archive(data, limits)
    if "[Content_Types].xml" in archive.names:
        for folder, form in _FOLDERS:
            if any(name.startswith(folder) for name in archive.names):
                return form
    if "META-INF/container.xml" in archive.names:
        return "epub"
    if "mimetype" in archive.names and archive.read("mimetype").startswith(_OPEN_DOCUMENT):
        raise _unknown("an OpenDocument file: save it as DOCX, PPTX, XLSX or PDF")
    raise _unknown("a ZIP archive: unpack it and send its files one by one")


_FOLDERS: Final[Sequence[tuple[str, Format]]] = (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx"))


def _textual(data: bytes, hint: Format | None) -> Format:
    head = decode.decode(data[:_HEAD]).text.lstrip("\ufeff")
    if _HTML.match(head):
        return "html"
    if _is_mail(head) and hint != "markdown":
        return "email"
    if hint == "json" or (hint is None and _is_records(head)):
        return "json"
    if hint in ("text", "markdown", "html", "csv", "email"):
        return hint
    # The name says nothing, or says a binary format that the content is not.
    if _is_records(head):
        return "json"
    if _HEADING.search(head) and _MARKS.search(head):
        return "markdown"
    return "csv" if _is_table(head) else "text"


def _is_mail(head: str) -> bool:
    """Header lines from the first one on, among them enough of those that every mail has."""
    place = 0
    names: set[str] = set()
    while found := _MAIL_LINE.match(head, place):
        names.add(found[1].lower())
        place = found.end()
    return len(names & _MAIL_NAMES) >= _MAIL_ENOUGH


def _is_records(head: str) -> bool:
    """Lines that are JSON objects."""
    lines = head.split("\n")
    # The last one may be cut.
    whole = [line.strip() for line in (lines[:-1] if len(lines) > 1 else lines) if line.strip()][:5]
    try:
        return bool(whole) and all(line[0] == "{" and isinstance(json.loads(line), dict) for line in whole)
    except (ValueError, RecursionError):
        return False


def _is_table(head: str) -> bool:
    """At least three rows, all of the same two or more fields."""
    lines = head.splitlines()
    rows = [line for line in (lines[:-1] if len(head) >= _HEAD else lines) if line.strip()][:20]
    for separator in ",;\t|":
        try:
            widths = {len(row) for row in csv.reader(rows, delimiter=separator)}
        except csv.Error:
            continue
        # A verse may have as many commas in every line; but it has spaces behind them.
        if len(rows) > 2 and len(widths) == 1 and widths != {1} and f"{separator} " not in head:
            return True
    return False
