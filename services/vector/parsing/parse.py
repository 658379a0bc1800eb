"""One file into its parsed text, in this process: what a worker does. Call it through a `ParserPool`."""

from collections.abc import Callable
from typing import Final

from services.vector.parsing.model import Format, Limits, Parsed, too_large
from services.vector.parsing.readers.delimited import read_csv
from services.vector.parsing.readers.epub import read_epub
from services.vector.parsing.readers.html import read_html
from services.vector.parsing.readers.mail import read_mail
from services.vector.parsing.readers.office.docx import read_docx
from services.vector.parsing.readers.office.pptx import read_pptx
from services.vector.parsing.readers.office.xlsx import read_xlsx
from services.vector.parsing.readers.pdf import read_pdf
from services.vector.parsing.readers.records import read_json
from services.vector.parsing.readers.text import mark_markdown, read_markdown, read_text
from services.vector.parsing.reading.builder import Builder
from services.vector.parsing.reading.detect import detect, told

_TEXTUAL: Final[dict[Format, Callable[[bytes, str | None, Builder], None]]] = {
    "text": read_text,
    "markdown": read_markdown,
    "html": read_html,
    "csv": read_csv,
    "json": read_json,
}
"""These take the encoding that the media type declares."""
_BINARY: Final[dict[Format, Callable[[bytes, Builder], None]]] = {
    "pdf": read_pdf,
    "docx": read_docx,
    "pptx": read_pptx,
    "xlsx": read_xlsx,
    "epub": read_epub,
    "email": read_mail,
}


def parse_file(data: bytes, name: str, media_type: str | None, limits: Limits) -> Parsed:
    """Raises ParseFailed with any reason but TOO_SLOW and CRASHED; MemoryError and RecursionError may get through."""
    if len(data) > limits.input_bytes:
        raise too_large(limits)
    form = detect(data, name, media_type, limits)
    builder = Builder(limits)
    said = told(name, media_type)
    if said is not None and said != form:
        builder.warn("NAME_DISAGREES", f"Its name or media type says {said}, its content is {form}.")
    if form in _TEXTUAL:
        _TEXTUAL[form](data, _charset(media_type), builder)
    else:
        _BINARY[form](data, builder)
    return builder.finish(form)


def parse_markdown(text: str, limits: Limits) -> Parsed:
    """The structure of a Markdown text that stays as it is, to the last character.

    Raises ParseFailed with TOO_DEEP, TOO_LARGE or EMPTY.
    """
    builder = Builder(limits)
    mark_markdown(builder.exactly(text), builder)
    return builder.finish("markdown")


def _charset(media_type: str | None) -> str | None:
    for parameter in (media_type or "").split(";")[1:]:
        key, _, text = parameter.partition("=")
        if key.strip().lower() == "charset":
            return text
    return None
