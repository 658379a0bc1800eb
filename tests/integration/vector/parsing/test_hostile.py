"""Hostile files: every one ends within its limits with a reason, and the next file is parsed as ever."""

import threading
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from services.vector.parsing.model import Limits, Parsed, ParseFailed, Reason
from services.vector.parsing.pool import ParserPool
from tests.support import files, hostile
from tests.support.parsing import check

_FLAT = 48 * 1024 * 1024
"""What this process may grow by while it has hostile files parsed."""
_MEMORY = 256 * 1024 * 1024


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[ParserPool]:
    async with ParserPool(1) as one:
        yield one


async def outcome(pool: ParserPool, data: bytes, name: str = "", **limits: float) -> Parsed | Reason:
    """What becomes of a file; afterwards an ordinary one must be parsed."""
    bounds = Limits(**{"seconds": 20.0, "memory_bytes": _MEMORY, **limits})  # type: ignore[arg-type]
    found: Parsed | Reason
    try:
        found = await pool.parse(data, name, None, bounds)
    except ParseFailed as error:
        found = error.reason
    else:
        check(found)
    after = await pool.parse(b"# As ever\n\nText.", "a.md", None, Limits())
    assert after.title == "As ever"
    return found


async def test_zip_bombs(pool: ParserPool) -> None:
    own = psutil.Process()
    bomb = hostile.zip_bomb(600)
    assert len(bomb) < 1_000_000
    before = own.memory_info().rss
    assert await outcome(pool, bomb) == Reason.TOO_LARGE, "by its ratio"
    assert await outcome(pool, bomb, unpacked_ratio=10_000) == Reason.TOO_LARGE, "by its size"
    assert own.memory_info().rss < before + _FLAT


async def test_other_archives(pool: ParserPool) -> None:
    assert await outcome(pool, hostile.nested_zip(4), "a.docx") == Reason.FORMAT_UNKNOWN
    assert await outcome(pool, hostile.crowded_zip(10_100)) == Reason.TOO_LARGE
    assert await outcome(pool, hostile.lying_zip()) == Reason.MALFORMED


async def test_huge_pictures_cost_nothing(pool: ParserPool) -> None:
    """Half a gigabyte of zeros and 30 MB of noise; neither is read."""
    data = hostile.word_of("<w:p><w:r><w:t>Words.</w:t></w:r></w:p>")
    picture = {"word/media/a.png": b"\0" * 500_000_000, "word/media/b.png": hostile.noise(1, 30_000_000)}
    with_pictures = hostile.word(
        '<w:document xmlns:w="x"><w:body><w:p><w:r><w:t>Words.</w:t></w:r></w:p></w:body></w:document>', {**picture}
    )
    assert len(with_pictures) > len(data) + 30_000_000
    found = await outcome(pool, with_pictures, unpacked_bytes=1_000_000)
    assert isinstance(found, Parsed)
    assert found.text == "Words."


@pytest.mark.parametrize("depth", [600, 200_000])
async def test_deep_nesting(pool: ParserPool, depth: int) -> None:
    assert await outcome(pool, hostile.word_of("<w:sdt>" * depth)) == Reason.TOO_DEEP
    html = await outcome(pool, b"<html><body>" + b"<div>" * depth + b"words", "a.html")
    assert html == Reason.TOO_DEEP if depth > 5000 else isinstance(html, Parsed)
    assert await outcome(pool, b"<html><body>" + b"<font>" * depth + b"</b>" * depth) in (Reason.TOO_DEEP, Reason.EMPTY)
    assert await outcome(pool, b'{"a":' * depth + b"1" + b"}" * depth, "a.json") == Reason.TOO_DEEP
    assert await outcome(pool, b"[" * depth, "a.json") in (Reason.TOO_DEEP, Reason.MALFORMED)
    markdown = await outcome(pool, b"> " * depth + b"words", "a.md")
    assert isinstance(markdown, Parsed) or markdown in (Reason.TOO_DEEP, Reason.TOO_SLOW)


async def test_deep_mail(pool: ParserPool) -> None:
    head = b"From: a\r\nTo: b\r\nSubject: c\r\n"
    parts = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000))
    assert await outcome(pool, head + parts + b"\r\nwords") == Reason.TOO_DEEP
    messages = (head + b"Content-Type: message/rfc822\r\n\r\n") * 3000
    assert await outcome(pool, messages + b"words") == Reason.TOO_DEEP


async def test_entities(pool: ParserPool, tmp_path: Path) -> None:
    """No billion laughs, no file of this machine, no request to anywhere."""
    assert await outcome(pool, hostile.word(hostile.laughs())) == Reason.MALFORMED
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    assert await outcome(pool, hostile.word(hostile.outside(secret.as_uri()))) == Reason.MALFORMED
    asked: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        try:
            assert await outcome(pool, hostile.word(hostile.outside(address + "/entity"))) == Reason.MALFORMED
            page = (
                f'<!DOCTYPE html SYSTEM "{address}/dtd"><html><link href="{address}/a.css" rel="stylesheet"><p>Words.'
            )
            found = await outcome(pool, page.encode())
            assert isinstance(found, Parsed)
            assert found.text == "Words."
        finally:
            server.shutdown()
            thread.join()
    assert asked == []


async def test_endless_pdfs(pool: ParserPool) -> None:
    assert await outcome(pool, hostile.endless_pdf()) in (Reason.TOO_LARGE, Reason.MALFORMED, Reason.EMPTY)
    assert await outcome(pool, hostile.circular_pdf()) in (Reason.MALFORMED, Reason.EMPTY)
    assert await outcome(pool, hostile.many_paged_pdf(20_000)) == Reason.TOO_LARGE
    drawn = await outcome(pool, hostile.drawn_pdf(100, 6), seconds=3.0)
    assert isinstance(drawn, Parsed) or drawn in (Reason.TOO_SLOW, Reason.TOO_LARGE, Reason.OUT_OF_MEMORY, Reason.EMPTY)


async def test_much_text_from_little(pool: ParserPool) -> None:
    """One shared text of a megabyte in ten thousand cells."""
    sheet = "<sheetData>" + '<row><c t="s"><v>0</v></c></row>' * 10_000 + "</sheetData>"
    relation = (
        '<Relationship Id="{0}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{1}" '
        'Target="{2}"/>'
    )
    book = files.zipped(
        {
            "[Content_Types].xml": "<Types/>",
            "_rels/.rels": f"<R>{relation.format('a', 'officeDocument', 'xl/workbook.xml')}</R>",
            "xl/workbook.xml": '<workbook xmlns:r="r"><sheets><sheet name="One" r:id="s"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f"<R>{relation.format('s', 'worksheet', 'one.xml')}"
            f"{relation.format('t', 'sharedStrings', 'strings.xml')}</R>",
            "xl/strings.xml": f"<sst><si><t>{'words ' * 170_000}</t></si></sst>",
            "xl/one.xml": f"<worksheet>{sheet}</worksheet>",
        }
    )
    assert await outcome(pool, book) in (Reason.TOO_LARGE, Reason.OUT_OF_MEMORY)


@pytest.mark.parametrize(
    "make", [files.pdf, files.slides, files.workbook, files.epub, lambda: files.saved(files.word())]
)
async def test_cut_and_damaged_files(pool: ParserPool, make: object) -> None:
    assert callable(make)
    whole = make()
    for share in (0.1, 0.5, 0.9, 0.99):
        found = await outcome(pool, whole[: int(len(whole) * share)])
        assert isinstance(found, Parsed) or found in (Reason.MALFORMED, Reason.EMPTY, Reason.FORMAT_UNKNOWN)
    for seed in range(12):
        found = await outcome(pool, hostile.damaged(whole, seed))
        assert found not in (Reason.CRASHED, Reason.TOO_SLOW)


async def test_noise(pool: ParserPool) -> None:
    for seed, name in enumerate(("a.pdf", "a.docx", "a.xlsx", "a.html", "a.eml", "a.md", "a.json", "")):
        assert await outcome(pool, hostile.noise(seed, 50_000), name) == Reason.FORMAT_UNKNOWN
        magic = (b"%PDF-1.7\n", b"PK\x03\x04", b"<html><body>")[seed % 3]
        found = await outcome(pool, magic + hostile.noise(seed, 50_000), name)
        assert isinstance(found, Parsed) or found in (Reason.MALFORMED, Reason.FORMAT_UNKNOWN, Reason.EMPTY)
