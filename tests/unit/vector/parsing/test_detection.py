"""What a file is: its content counts before its name."""

import pytest

from services.vector.parsing.model import Limits, ParseFailed, Reason
from services.vector.parsing.parse import parse_file
from tests.support import files
from tests.support.parsing import codes, read, refused

PAGE = b"<!-- a --><!-- b -->\n<!DOCTYPE html><p>Hello"


@pytest.mark.parametrize(
    ("data", "name", "media_type", "form"),
    [
        (files.pdf(), "a.docx", None, "pdf"),
        (files.saved(files.word()), "a.pdf", None, "docx"),
        (files.slides(), "", None, "pptx"),
        (files.workbook(), "a.docx", "text/plain", "xlsx"),
        (files.epub(), "a.zip", None, "epub"),
        (files.mail(), "a.txt", None, "email"),
        (PAGE, "a.pdf", None, "html"),
        (PAGE, "a.csv", None, "html"),
        (b"# Head\n\n- item\n", "README", None, "markdown"),
        (b"# Head\n\n- item\n", "a.txt", None, "text"),
        (b"plain", "a.pdf", None, "text"),
        (b"plain", "a.md", "text/plain", "markdown"),
        (b"plain", "", "text/markdown; charset=utf-8", "markdown"),
        (b"plain", "noname", None, "text"),
        (b"a,b\n1,2\n3,4\n", "", None, "csv"),
        (b"One, two,\nthree, four,\nfive, six,\n", "", None, "text"),
        (b"a,b", "A.CSV", None, "csv"),
        (b'{"a": 1}\n{"a": 2}\n', "export", None, "json"),
        (b'{"a": 1}\n{"a": 2}\n', "a.pdf", None, "json"),
        (b"{not json}\n", "", None, "text"),
        (b"Note: this\nis no mail\n", "", None, "text"),
    ],
)
def test_formats(data: bytes, name: str, media_type: str | None, form: str) -> None:
    assert read(data, name, media_type).format == form


def test_a_name_that_disagrees_is_told() -> None:
    parsed = read(files.pdf(), "a.docx")
    assert codes(parsed) == ["NAME_DISAGREES"]
    assert "docx" in parsed.warnings[0].message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "PNG"),
        (b"\x1f\x8b\x08" + b"\0" * 50, "gzip"),
        (b"{\\rtf1 hello}", "DOCX"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "save it as DOCX"),
        (files.zipped({"a.txt": "hello"}), "unpack"),
        (files.zipped({"mimetype": "application/vnd.oasis.opendocument.text"}), "OpenDocument"),
        (bytes(range(256)) * 10, "neither text nor"),
    ],
)
def test_what_is_unknown_is_named(data: bytes, words: str) -> None:
    with pytest.raises(ParseFailed) as caught:
        parse_file(data, "a.pdf", None, Limits())
    assert caught.value.reason == Reason.FORMAT_UNKNOWN
    assert words in caught.value.message


def test_an_encrypted_office_file_is_told() -> None:
    data = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 100
    assert refused(data, "a.docx") == Reason.ENCRYPTED
