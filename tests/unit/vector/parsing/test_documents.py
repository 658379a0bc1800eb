"""PDF, Office files, EPUB, e-mail."""

from services.vector.parsing.model import Reason
from tests.support import files
from tests.support.parsing import codes, paths, read, refused, shown


def test_pdf() -> None:
    parsed = read(files.pdf(), "report.pdf")
    assert (parsed.format, parsed.title, parsed.pages) == ("pdf", "Garden Report", 2)
    found = paths(parsed)
    first = next(text for text in found if text.startswith("The pergola stands"))
    assert first == (files.SENTENCE * 6).strip(), "lines of a paragraph are one again"
    second = next(text for text in found if text.startswith("A second paragraph"))
    assert found[first] == found[second] == ("Columns",)
    korean = next(text for text in found if text.startswith("정원에 퍼걸러가"))
    assert found[korean] == ("Columns", "Beams")
    pages = {parsed.text[block.start : block.end]: block.page for block in parsed.blocks}
    assert (pages["Columns"], pages["Plants"]) == (1, 2)
    last = next(text for text in found if text.startswith("What grows"))
    assert found[last] == ("Plants",)
    assert pages[last] == 2


def test_a_pdf_s_outline_names_its_headings() -> None:
    parsed = read(files.outlined_pdf())
    assert paths(parsed) == {
        "Introduction": ("Introduction",),
        "Body of page 1 under this heading.": ("Introduction",),
        "Materials": ("Introduction", "Materials"),
        "Body of page 2 under this heading.": ("Introduction", "Materials"),
        "Closing": ("Closing",),
        "Body of page 3 under this heading.": ("Closing",),
    }


def test_scanned_pages_are_told() -> None:
    parsed = read(files.scanned_pdf(["Some words stand here.", ""]))
    assert codes(parsed) == ["PAGES_WITHOUT_TEXT"]
    assert refused(files.scanned_pdf(["", ""])) == Reason.EMPTY


def test_an_encrypted_pdf_is_told() -> None:
    assert refused(files.pdf(password="secret"), "a.pdf") == Reason.ENCRYPTED


def test_docx() -> None:
    parsed = read(files.saved(files.word()), "a.docx")
    assert (parsed.format, parsed.title, parsed.pages) == ("docx", "How to build a pergola", 0)
    assert shown(parsed) == [
        ("heading", "Columns"),
        ("paragraph", files.SENTENCE.strip()),
        ("heading", "Depth of the holes"),
        ("paragraph", "Eighty centimetres are enough."),
        ("item", "- A spade"),
        ("table", "Part | Pieces\nColumn | 4"),
        ("heading", "Roof"),
        ("paragraph", "Beams of oak. They last."),
    ]
    assert paths(parsed)["- A spade"] == ("Columns", "Depth of the holes")
    assert paths(parsed)["Beams of oak. They last."] == ("Roof",)


def test_docx_leaves_out_what_its_reader_does_not_see() -> None:
    document = files.word()
    paragraph = document.add_paragraph("Kept. ")
    for name, inner in (("del", "delText"), ("moveFrom", "t"), ("ins", "t")):
        revision = paragraph._p.makeelement(f"{{{paragraph._p.nsmap['w']}}}{name}")
        run = revision.makeelement(f"{{{paragraph._p.nsmap['w']}}}r")
        text = revision.makeelement(f"{{{paragraph._p.nsmap['w']}}}{inner}")
        text.text = f"{name} words."
        run.append(text)
        revision.append(run)
        paragraph._p.append(revision)
    assert ("paragraph", "Kept. ins words.") in shown(read(files.saved(document)))


def test_pptx() -> None:
    parsed = read(files.slides(), "talk.pptx")
    assert (parsed.format, parsed.title, parsed.pages) == ("pptx", "Pergola talk", 2)
    assert [(kind, text) for kind, text in shown(parsed)] == [
        ("heading", "Why columns"),
        ("paragraph", "They carry"),
        ("paragraph", "They stand"),
        ("paragraph", "Speak slowly here."),
        ("table", "Wood | Years\nOak | 30"),
    ]
    assert paths(parsed)["Speak slowly here."] == ("Why columns", "Notes")
    assert paths(parsed)["Wood | Years\nOak | 30"] == (), "a slide without a title does not stand under the one before"
    assert [block.page for block in parsed.blocks] == [1, 1, 1, 1, 2]


def test_xlsx() -> None:
    parsed = read(files.workbook(), "plants.xlsx")
    assert (parsed.format, parsed.title, parsed.pages) == ("xlsx", "Plants", 2)
    assert shown(parsed) == [
        (
            "table",
            "Plant | When | Height | Alive\n"
            "Plant: Wisteria | When: 2026-04-01 | Height: 0.3 | Alive: TRUE\n"
            "Plant: Hops | When: 2025-05-02 | Height: 6 | Alive: FALSE",
        ),
        ("table", "Water in May"),
    ]
    assert paths(parsed)["Water in May"] == ("Note",)
    assert [block.page for block in parsed.blocks] == [1, 2]


def test_epub() -> None:
    parsed = read(files.epub(), "book.epub")
    assert (parsed.format, parsed.title) == ("epub", "The Climbing Book")
    assert paths(parsed) == {
        "First": ("First",),
        "Roots": ("First", "Roots"),
        "It begins here.": ("First", "Roots"),
        "Second": ("Second",),
        "Ends here.": ("Second",),
    }


def test_a_copy_protected_book_is_told_and_protected_fonts_are_no_matter() -> None:
    assert refused(files.epub(encryption="http://www.w3.org/2001/04/xmlenc#aes128-cbc")) == Reason.ENCRYPTED
    assert read(files.epub(encryption="http://www.idpf.org/2008/embedding")).title == "The Climbing Book"


def test_mail() -> None:
    parsed = read(files.mail(html=True, attachment=b"%PDF-"), "news.eml")
    assert (parsed.format, parsed.title) == ("email", "정원 소식")
    texts = [text for _, text in shown(parsed)]
    assert "From: Kim <kim@example.org>" in texts[1]
    assert texts[2:] == ["안녕하세요.", "퍼걸러가 완성되었습니다."], "of two versions the plain one"
    assert codes(parsed) == ["ATTACHMENTS_SKIPPED"]


def test_a_mail_without_plain_text_and_a_forwarded_one() -> None:
    inner = files.mail()
    outer = (
        b"Subject: Fwd\r\nFrom: a@example.org\r\nTo: b@example.org\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html; charset=euc-kr\r\n\r\n<p>"
        + "전달합니다".encode("euc-kr")
        + b"</p>\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n"
        + inner
        + b"\r\n--x--\r\n"
    )
    parsed = read(outer)
    texts = [text for _, text in shown(parsed)]
    assert "전달합니다" in texts
    assert "퍼걸러가 완성되었습니다." in texts
    assert parsed.title == "Fwd"
