"""Server-sent events out of a byte stream, however it is cut."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.providers.openai_compatible import events
from services.providers.openai_compatible.events import EventBlock, EventReader


def chunk(text: str | None, finish_reason: str | None = None, **beside: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return msgspec.json.encode({"id": "c1", "created": 5, "model": "m", "choices": [choice], **beside})


def read_all(pieces: list[bytes]) -> list[EventBlock]:
    reader = EventReader()
    blocks = [block for piece in pieces if (block := reader.feed(piece)) is not None]
    last = reader.close()
    return blocks if last is None else [*blocks, last]


def text(blocks: list[EventBlock]) -> str:
    return "".join(block.text for block in blocks)


TEXTS = st.lists(st.text(max_size=8) | st.just("data: x\n\ndata: [DONE]\n\n"), min_size=1, max_size=6)


@given(
    texts=TEXTS,
    end=st.sampled_from([b"\n", b"\r\n"]),
    space=st.sampled_from([b"data: ", b"data:"]),
    comment=st.sampled_from([b"", b": comment"]),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
)
def test_any_cut_gives_the_same_text(
    texts: list[str], end: bytes, space: bytes, comment: bytes, cuts: list[int]
) -> None:
    written = b""
    for one in texts:
        if comment:
            written += comment + end + end
        written += space + chunk(one) + end + end
    written += space + b"[DONE]" + end + end
    places = sorted({min(cut, len(written)) for cut in cuts} | {0, len(written)})
    pieces = [written[start:stop] for start, stop in itertools.pairwise(places)]
    blocks = read_all(pieces)
    assert text(blocks) == "".join(texts)
    assert blocks[-1].done
    assert b"".join(block.raw for block in blocks) + space + b"[DONE]" + end + end == written


def test_a_stream_may_end_without_a_blank_line() -> None:
    (block,) = read_all([b"data: " + chunk("all", "stop")])
    assert (block.text, block.finish_reason) == ("all", "stop")


def test_half_an_event_at_the_end_is_nothing() -> None:
    blocks = read_all([b"data: " + chunk("one") + b"\n\n" + b"data: " + chunk("two")[:20]])
    assert text(blocks) == "one"
    assert not blocks[-1].done


@pytest.mark.parametrize("broken", [b'data: {"choices"\n\n', b"data: 7\n\n", b"data: hello\n\n", b"data: \xff\n\n"])
def test_what_came_before_a_broken_event_is_kept(broken: bytes) -> None:
    (block,) = read_all([b"data: " + chunk("one") + b"\n\n" + broken + b"data: " + chunk("two") + b"\n\n"])
    assert (block.text, block.broken) == ("one", True)
    assert block.raw == b"data: " + chunk("one") + b"\n\n"


def test_an_error_object_ends_the_block() -> None:
    (block,) = read_all([b"data: " + chunk("one") + b'\n\ndata: {"error": {"message": "no"}}\n\n'])
    assert (block.text, block.error) == ("one", b'{"message": "no"}')
    (block,) = read_all([b"data: " + chunk("one", error=None) + b"\n\n"])
    assert block.error is None


def test_an_event_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_EVENT", 100)
    (block,) = read_all([b"data: " + b"x" * 101])
    assert block.broken


def test_usage_finish_and_other_choices() -> None:
    other = msgspec.json.encode({"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]})
    count = msgspec.json.encode({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    (block,) = read_all([b"data: " + other + b"\n\ndata: " + chunk("yes", "stop") + b"\n\ndata: " + count + b"\n\n"])
    assert block.text == "yes"
    assert block.finish_reason == "stop"
    assert block.usage is not None
    assert (block.usage.input_tokens, block.usage.output_tokens) == (3, 4)


def test_a_block_is_parted_before_its_finish() -> None:
    first, last = b": note\n\ndata: " + chunk("one") + b"\n\n", b"data: " + chunk("two", "stop") + b"\n\n"
    (block,) = read_all([first + last])
    assert block.split_before_finish() == (first, last)
    assert block.identity().id == "c1"
    (block,) = read_all([first])
    assert block.split_before_finish() == (first, b"")
