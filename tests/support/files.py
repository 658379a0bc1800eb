"""Small files of every format, written by real libraries where there are any, by hand where not."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date
from email.message import EmailMessage

import docx
import openpyxl  # type: ignore[import-untyped]
import pptx
from docx.document import Document as WordDocument
from reportlab.lib.pagesizes import A4  # type: ignore[import-untyped]
from reportlab.lib.pdfencrypt import StandardEncryption  # type: ignore[import-untyped]
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet  # type: ignore[import-untyped]
from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfbase.cidfonts import UnicodeCIDFont  # type: ignore[import-untyped]
from reportlab.pdfgen import canvas  # type: ignore[import-untyped]
from reportlab.platypus import (  # type: ignore[import-untyped]
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
)

SENTENCE = "The pergola stands in the garden, and the wisteria climbs on it year after year. "


def zipped(parts: Mapping[str, bytes | str], *, stored: Sequence[str] = ()) -> bytes:
    """An archive of these parts in this order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content, zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def pdf(*, password: str = "") -> bytes:
    """Two pages: headings by size, paragraphs, Korean, a table; title `Garden Report`."""
    pdfmetrics.registerFont(UnicodeCIDFont("HYSMyeongJo-Medium"))
    styles = getSampleStyleSheet()
    korean = ParagraphStyle("korean", fontName="HYSMyeongJo-Medium", fontSize=10, wordWrap="CJK")
    buffer = io.BytesIO()
    encryption = StandardEncryption(password) if password else None
    SimpleDocTemplate(buffer, title="Garden Report", pagesize=A4, encrypt=encryption).build(
        [
            Paragraph("Columns", styles["Heading1"]),
            Paragraph(SENTENCE * 6, styles["Normal"]),
            Spacer(1, 12),
            Paragraph("A second paragraph speaks of the roof. " * 6, styles["Normal"]),
            Paragraph("Beams", styles["Heading2"]),
            Paragraph("정원에 퍼걸러가 서 있다. " * 12, korean),
            PageBreak(),
            Paragraph("Plants", styles["Heading1"]),
            Paragraph("What grows on the second page is a vine. " * 4, styles["Normal"]),
            Spacer(1, 12),
            Table([["Plant", "Height"], ["Wisteria", "9 m"], ["Hops", "6 m"]]),
        ]
    )
    return buffer.getvalue()


def outlined_pdf() -> bytes:
    """Letters of one size; what is a heading only the outline says."""
    buffer = io.BytesIO()
    page = canvas.Canvas(buffer)
    for number, (title, level) in enumerate((("Introduction", 0), ("Materials", 1), ("Closing", 0)), 1):
        page.drawString(72, 780, title)
        page.drawString(72, 740, f"Body of page {number} under this heading.")
        page.bookmarkPage(f"p{number}")
        page.addOutlineEntry(title, f"p{number}", level)
        page.showPage()
    page.save()
    return buffer.getvalue()


def scanned_pdf(texts: Sequence[str]) -> bytes:
    """A page a text; an empty one has a drawing only."""
    buffer = io.BytesIO()
    page = canvas.Canvas(buffer)
    for text in texts:
        page.rect(100, 100, 200, 200, fill=1)
        if text:
            page.drawString(72, 700, text)
        page.showPage()
    page.save()
    return buffer.getvalue()


def word() -> WordDocument:
    """A document with a title, headings, lists and a table, to be changed and saved."""
    document = docx.Document()
    document.core_properties.title = "How to build a pergola"
    document.add_heading("Columns", 1)
    document.add_paragraph(SENTENCE)
    document.add_heading("Depth of the holes", 2)
    document.add_paragraph("Eighty centimetres are enough.")
    document.add_paragraph("A spade", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for row, texts in zip(table.rows, (("Part", "Pieces"), ("Column", "4")), strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    document.add_heading("Roof", 1)
    document.add_paragraph("Beams of oak.\tThey last.")
    return document


def saved(document: WordDocument) -> bytes:
    """The document's file."""
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def document() -> bytes:
    """The document of `word`."""
    return saved(word())


def slides() -> bytes:
    """Two slides, the first with notes, the second with a table and no title."""
    show = pptx.Presentation()
    show.core_properties.title = "Pergola talk"
    first = show.slides.add_slide(show.slide_layouts[1])
    assert first.shapes.title is not None
    first.shapes.title.text = "Why columns"
    first.placeholders[1].text = "They carry\nThey stand"
    notes = first.notes_slide.notes_text_frame
    assert notes is not None
    notes.text = "Speak slowly here."
    second = show.slides.add_slide(show.slide_layouts[6])
    shape = second.shapes.add_table(2, 2, 0, 0, 4_000_000, 1_000_000)
    for place, text in enumerate(("Wood", "Years", "Oak", "30")):
        shape.table.cell(place // 2, place % 2).text = text
    buffer = io.BytesIO()
    show.save(buffer)
    return buffer.getvalue()


def workbook() -> bytes:
    """Two sheets: plants with dates, and a note."""
    book = openpyxl.Workbook()
    book.properties.title = "Plants"
    sheet = book.active
    sheet.title = "Planted"
    sheet.append(["Plant", "When", "Height", "Alive"])
    sheet.append(["Wisteria", date(2026, 4, 1), 0.1 + 0.2, True])
    sheet.append(["Hops", date(2025, 5, 2), 6, False])
    note = book.create_sheet("Note")
    note["C7"] = "Water in May"
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def epub(*, encryption: str = "") -> bytes:
    """Two chapters."""
    parts: dict[str, bytes | str] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
        "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<metadata><dc:title>The Climbing Book</dc:title></metadata><manifest>"
        '<item id="two" href="text/two.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="one" href="text/one%20.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="cover" href="cover.png" media-type="image/png"/></manifest>'
        '<spine><itemref idref="one"/><itemref idref="two"/></spine></package>',
        "OEBPS/text/two.xhtml": '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head>'
        "<title/></head><body><h1>Second</h1><p>Ends&nbsp;here.</p></body></html>",
        "OEBPS/text/one .xhtml": '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html '
        'xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head><body><h1>First</h1><h2>Roots</h2>'
        '<p><a id="n1"/>It begins <em>here</em>.</p></body></html>',
        "OEBPS/cover.png": b"\x89PNG",
    }
    if encryption:
        parts["META-INF/encryption.xml"] = (
            f'<encryption><EncryptedData><EncryptionMethod Algorithm="{encryption}"/></EncryptedData></encryption>'
        )
    return zipped(parts, stored=("mimetype",))


def mail(*, html: bool = False, attachment: bytes = b"") -> bytes:
    """A message in Korean to two people."""
    message = EmailMessage()
    message["Subject"] = "정원 소식"
    message["From"] = "Kim <kim@example.org>"
    message["To"] = "a@example.org, b@example.org"
    message["Date"] = "Mon, 23 Nov 2026 10:00:00 +0900"
    message.set_content("안녕하세요.\n\n퍼걸러가 완성되었습니다.\n")
    if html:
        message.add_alternative("<p>안녕하세요.</p><p>HTML <b>version</b></p>", subtype="html")
    if attachment:
        message.add_attachment(attachment, maintype="application", subtype="pdf", filename="plan.pdf")
    return message.as_bytes()
