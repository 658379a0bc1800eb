"""How a parsed file reaches the chunker."""

from services.vector.parsing.model import Limits
from services.vector.parsing.parse import parse_markdown
from services.vector.parsing.sections import page_at, sections
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


def test_markdown_has_a_section_a_heading_and_is_taken_as_it_is() -> None:
    text = TEXT.replace("\n", "\r\n") + "\x07"
    parsed = parse_markdown(text, Limits())
    assert parsed.text == text
    found = [(one.path, [text[start:end] for start, end in one.spans]) for one in sections(parsed)]
    assert found == [
        ((), ["Before."]),
        (
            ("One", "Inner"),
            ["# One", "## Inner", "First sentence.", "Second sentence.", "| a | b |", "|---|---|", "| 1 | 2 |"],
        ),
        (("One", "Next"), ["## Next", "Text."]),
        (("Two",), ["# Two", "\x07"]),
    ]


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
