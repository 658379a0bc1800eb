"""Files that are made to harm who reads them."""

import io
import random
import zipfile

from tests.support import files

WORD_PARTS = {
    "[Content_Types].xml": "<Types/>",
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
    'Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>',
}
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def word(document: bytes | str, more: dict[str, bytes | str] | None = None) -> bytes:
    """A DOCX with this main part."""
    return files.zipped({**WORD_PARTS, "word/document.xml": document, **(more or {})})


def word_of(body: str) -> bytes:
    """A DOCX whose main part has this body."""
    return word(f"<w:document {_W}><w:body>{body}</w:body></w:document>")


def zip_bomb(megabytes: int) -> bytes:
    """A DOCX whose main part unpacks to that much, a thousand times its size: text that is never shown."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in WORD_PARTS.items():
            archive.writestr(name, content)
        with archive.open("word/document.xml", "w", force_zip64=True) as part:
            part.write(f"<w:document {_W}><w:body>".encode())
            for _ in range(megabytes):
                part.write(b" " * 1024 * 1024)
            part.write(b"</w:body></w:document>")
    return buffer.getvalue()


def nested_zip(depth: int) -> bytes:
    """Archives in archives."""
    data = b"\0" * 1_000_000
    for level in range(depth):
        data = files.zipped({f"{level}-{copy}.zip": data for copy in range(4)})
    return data


def crowded_zip(parts: int) -> bytes:
    """Very many empty parts."""
    return files.zipped({**WORD_PARTS, **{f"word/{number}": b"" for number in range(parts)}})


def lying_zip() -> bytes:
    """A part that unpacks to more than its directory says."""
    data = bytearray(word_of("<w:p><w:r><w:t>" + "x" * 100_000 + "</w:t></w:r></w:p>"))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        size = archive.getinfo("word/document.xml").file_size
    return bytes(data).replace(size.to_bytes(4, "little"), (50).to_bytes(4, "little"))


def laughs() -> str:
    """Ten entities, each ten times the one before: a billion in the end."""
    lines = ['<!ENTITY l0 "ha">'] + [f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10)]
    return f'<?xml version="1.0"?><!DOCTYPE d [{"".join(lines)}]><w:document {_W}><w:body><w:p><w:r><w:t>&l9;'


def outside(address: str) -> str:
    """An entity that stands for what an address holds."""
    return (
        f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "{address}">]><w:document {_W}><w:body><w:p><w:r><w:t>'
        "before &x; after</w:t></w:r></w:p></w:body></w:document>"
    )


def pdf(objects: list[bytes], root: int = 1) -> bytes:
    """A PDF of these objects, numbered from 1."""
    body = b"%PDF-1.7\n"
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return body + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root %d 0 R>>\nstartxref\n%d\n%%%%EOF"
        % (len(objects) + 1, table, len(objects) + 1, root, len(body))
    )


def circular_pdf() -> bytes:
    """A page tree that has itself as its child, and an outline that goes round."""
    return pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R/Outlines 4 0 R>>",
            b"<</Type/Pages/Kids[2 0 R 3 0 R 2 0 R]/Count 1000>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>",
            b"<</First 5 0 R/Last 5 0 R/Count 1>>",
            b"<</Title(Round)/Parent 4 0 R/Next 5 0 R/First 5 0 R/Dest[3 0 R/Fit]>>",
        ]
    )


def endless_pdf() -> bytes:
    """A page tree that claims two billion pages, a circle."""
    return pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[2 0 R]/Count 2147483647>>",
        ]
    )


def many_paged_pdf(pages: int) -> bytes:
    """As many pages as that, all the same object."""
    kids = b" ".join([b"3 0 R"] * pages)
    return pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, pages),
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>",
        ]
    )


def drawn_pdf(times: int, levels: int) -> bytes:
    """Forms that draw forms: `times` to the power of `levels` words."""
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 999 999]/Resources<</XObject<</F 5 0 R>>>>/Contents 4 0 R>>",
        b"<</Length 4>>stream\n/F Do\nendstream",
    ]
    for level in range(levels):
        content = b"/F Do " * times if level < levels - 1 else b"BT /T 9 Tf (words and words) Tj ET"
        resources = b"<</XObject<</F %d 0 R>>>>" % (6 + level) if level < levels - 1 else b"<</Font<</T %s>>>>" % font
        objects.append(
            b"<</Type/XObject/Subtype/Form/BBox[0 0 999 999]/Resources%s/Length %d>>stream\n%s\nendstream"
            % (resources, len(content), content)
        )
    return pdf(objects)


def noise(seed: int, size: int) -> bytes:
    """Bytes at random."""
    return random.Random(seed).randbytes(size)


def damaged(data: bytes, seed: int) -> bytes:
    """Some bytes changed."""
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(1 + len(data) // 500):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)
