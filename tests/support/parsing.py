"""What tests of parsing share."""

from collections.abc import Iterable

import pytest

from services.vector.parsing.model import Limits, Parsed, ParseFailed, Reason
from services.vector.parsing.parse import parse_file


def read(data: bytes, name: str = "", media_type: str | None = None, limits: Limits | None = None) -> Parsed:
    """Parses in this process, and checks what holds for every parsed text."""
    parsed = parse_file(data, name, media_type, limits or Limits())
    check(parsed)
    return parsed


def check(parsed: Parsed) -> None:
    """Blocks are in order, apart, trimmed, and nothing but white space lies between them."""
    end = 0
    for block in parsed.blocks:
        assert end <= block.start < block.end <= len(parsed.text)
        assert parsed.text[end : block.start].strip() == ""
        shown = parsed.text[block.start : block.end]
        assert shown.strip("\n") == shown
        assert shown.strip()
        assert -1 <= block.heading < len(parsed.headings)
        assert 0 <= block.page <= parsed.pages
        end = block.end
    assert parsed.text[end:].strip() == ""
    assert "\0" not in parsed.text
    assert "\r" not in parsed.text
    parsed.text.encode()
    assert all(-1 <= heading.parent < place for place, heading in enumerate(parsed.headings))


def shown(parsed: Parsed) -> list[tuple[str, str]]:
    """Every block: its kind and its text."""
    return [(block.kind, parsed.text[block.start : block.end]) for block in parsed.blocks]


def paths(parsed: Parsed) -> dict[str, tuple[str, ...]]:
    """Every block's text, and the headings above it."""
    return {parsed.text[block.start : block.end]: parsed.path(block) for block in parsed.blocks}


def codes(parsed: Parsed) -> list[str]:
    """Of its warnings."""
    return [warning.code for warning in parsed.warnings]


def refused(data: bytes | Iterable[bytes], name: str = "", *, limits: Limits | None = None) -> Reason:
    """Why it can't be parsed."""
    whole = data if isinstance(data, bytes) else b"".join(data)
    with pytest.raises(ParseFailed) as caught:
        parse_file(whole, name, None, limits or Limits())
    return caught.value.reason
