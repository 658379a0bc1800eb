"""How a parsed file reaches the chunker."""

from services.vector.parsing.sections import page_at, sections
from services.vector.text.chunking import _sections
from tests.support import files
from tests.support.parsing import read

TEXT = """Before.

# One

## Inner

First sentence. Second sentence.

| a | b |
|---|---|
| 1 | 2 |

## Next

Text.

# Two
"""


def test_markdown_is_cut_as_it_is_without_parsing() -> None:
    parsed = read(TEXT.encode(), "a.md")
    assert [(one.path, one.spans) for one in sections(parsed)] == _sections(TEXT, "markdown")


def test_a_section_has_one_page() -> None:
    parsed = read(files.pdf())
    found = [(one.path, one.page) for one in sections(parsed)]
    assert found == [(("Columns",), 1), (("Columns", "Beams"), 1), (("Plants",), 2)]
    start, _ = list(sections(parsed))[-1].spans[0]
    assert parsed.text[start:].startswith("Plants")
    assert (page_at(parsed, 0), page_at(parsed, start - 1), page_at(parsed, start)) == (1, 1, 2)


def test_every_span_is_in_order_and_nothing_is_lost() -> None:
    parsed = read(files.saved(files.word()))
    spans = [span for one in sections(parsed) for span in one.spans]
    assert spans == sorted(spans)
    kept = "".join(parsed.text[start:end] for start, end in spans)
    assert "".join(kept.split()) == "".join(parsed.text.split())
