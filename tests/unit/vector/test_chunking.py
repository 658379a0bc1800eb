"""Passages: whole sentences, inside the window, pointing into the text."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.providers.embedding import weights
from services.providers.embedding.estimate import Estimate
from services.providers.embedding.minilm import WordPieces
from services.providers.embedding.model import Tokenizer
from services.vector.model import Chunking, ChunkMode, Format
from services.vector.parsing.model import Limits, ParseFailed
from services.vector.parsing.parse import parse_markdown
from services.vector.parsing.sections import Section, plain, sections
from services.vector.text.chunking import Chunker, Passage


@pytest.fixture(scope="module")
def pieces() -> WordPieces:
    return WordPieces(weights.folder() / "tokenizer.json")


@pytest.fixture(scope="module")
def chunker(pieces: WordPieces) -> Chunker:
    return _chunker(pieces, 254, 40, 10)


def _chunker(tokenizer: Tokenizer, window: int, tokens: int, overlap: int, mode: ChunkMode = "structure") -> Chunker:
    return Chunker(tokenizer, window, Chunking(mode=mode, tokens=tokens, overlap=overlap))


def _cut(chunker: Chunker, text: str, form: Format) -> list[Passage]:
    if form == "text":
        return chunker.pack(text, [plain(text)])
    try:
        parsed = parse_markdown(text, Limits())
    except ParseFailed:
        return []
    assert parsed.text == text
    return chunker.pack(text, sections(parsed))


def _texts(text: str, passages: list[Passage]) -> list[str]:
    return [text[one.start : one.end] for one in passages]


def test_a_short_text_is_one_passage(chunker: Chunker) -> None:
    assert _texts("  A short text. \n", _cut(chunker, "  A short text. \n", "text")) == ["A short text."]


def test_nothing_becomes_nothing(chunker: Chunker) -> None:
    for text in ("", "  \n\t\u00a0\u2003"):
        assert _cut(chunker, text, "text") == []
        assert _cut(chunker, text, "markdown") == []


def test_sentences_stay_whole_and_the_last_ones_are_repeated(chunker: Chunker) -> None:
    sentences = [f"Sentence {n} is made of seven words." for n in range(30)]
    text = " ".join(sentences)
    cut = _texts(text, _cut(chunker, text, "text"))
    for passage in cut:
        assert passage.startswith("Sentence")
        assert passage.endswith("words.")
    for before, after in pairwise(cut):
        assert before.endswith(after.partition(".")[0] + ".")
    assert {one for passage in cut for one in passage.replace(". ", ".\n").split("\n")} == set(sentences)


def test_a_sentence_without_end_is_cut_between_words(chunker: Chunker, pieces: WordPieces) -> None:
    text = " ".join(f"word{n}" for n in range(300))
    passages = _cut(chunker, text, "text")
    assert len(passages) > 10
    words = [word for one in _texts(text, passages) for word in one.split()]
    assert set(words) == set(text.split())
    assert all(len(spans) <= 40 for spans in pieces.spans(_texts(text, passages)))


def test_a_word_without_end_is_cut_anyway(chunker: Chunker) -> None:
    text = "-" * 500
    assert "".join(_texts(text, _cut(chunker, text, "text"))) == text


_MARKDOWN = """---
title: Ignored by the parser
more: lines
---

Before any heading.

# First *heading* with `code` and [a link](http://x)

Text under the first.

## Inner

1. one
2. two

```python
# no heading in here
x = 1
```

Setext
======

| a | b |
|---|---|
| 1 | 2 |

### Deep
## Last
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_markdown_is_cut_at_headings(chunker: Chunker, newline: str) -> None:
    text = _MARKDOWN.replace("\n", newline)
    passages = _cut(chunker, text, "markdown")
    first = "First heading with code and a link"
    assert [one.heading_path for one in passages] == [
        (),
        (first,),
        (first, "Inner"),
        ("Setext",),
        ("Setext", "Last"),
    ]
    shown = _texts(text, passages)
    assert shown[0].endswith("Before any heading.")
    assert shown[1].startswith("# First")
    assert "# no heading in here" in shown[2]
    assert shown[3].startswith("Setext")
    assert shown[3].endswith("| 1 | 2 |")
    assert "### Deep" in shown[4]


def test_the_header_holds_title_and_headings_within_its_share(pieces: WordPieces) -> None:
    chunker = _chunker(pieces, 254, 240, 32)

    def header(title: str, path: tuple[str, ...]) -> str:
        (passage,) = chunker.pack("A text.", [Section(path, 0, [(0, 7)])], title)
        return passage.header

    assert header("Title", ("Title", "Part")) == "Title – Part"
    assert header("Title", ()) == "Title"
    assert header("", ("Part",)) == "Part"
    assert header("", ()) == ""
    assert len(pieces.spans([header("word " * 200, ("more",))])[0]) == 254 // 4


def test_a_passage_takes_what_its_own_header_leaves(pieces: WordPieces) -> None:
    chunker = _chunker(pieces, 254, 8192, 0, "tokens")
    text = "word " * 1000
    for title, left in (("", 254), ("one two three", 251), ("word " * 200, 254 - 254 // 4)):
        first = chunker.pack(text, [plain(text)], title)[0]
        assert len(pieces.spans([text[first.start : first.end]])[0]) == left
    # The model's own limit counts the special tokens as well: all of it is read, and not a token more would be.
    whole = f"{first.header}\n{text[first.start : first.end]}"
    assert len(pieces.encode([whole])[0].ids) == 256
    assert pieces.encode([whole])[0].ids == pieces.encode([f"{whole} word"])[0].ids


@settings(max_examples=60)
@example(text="!" * 12 + "\x1b" + "!" * 12, form="text", estimate=False)
@given(
    text=st.text(
        st.one_of(st.sampled_from("a b.\n#-*`>|!？。 가나\t\r1"), st.characters(exclude_categories=["Cs"])),
        max_size=400,
    ),
    form=st.sampled_from(["text", "markdown"]),
    estimate=st.booleans(),
)
def test_passages_are_in_order_cover_the_text_and_fit(
    pieces: WordPieces, text: str, form: Format, estimate: bool
) -> None:
    tokenizer = Estimate() if estimate else pieces
    passages = _cut(_chunker(tokenizer, 64, 12, 4), text, form)
    assert [one.start for one in passages] == sorted(one.start for one in passages)
    for one in passages:
        assert text[one.start : one.end].strip()
    if form == "text":
        covered = {place for one in passages for place in range(one.start, one.end)}
        assert all(letter.isspace() for place, letter in enumerate(text) if place not in covered)
    for spans in tokenizer.spans(_texts(text, passages)):
        assert len(spans) <= 12


_WORDS = st.one_of(
    st.sampled_from(
        ["word ", "an end. ", "\n\n", "\n# A heading\n\n", "unbelievablyoverextended", "-", "가나다", "。"]
    ),
    st.text(st.characters(categories=["Ll", "Lu", "Nd", "Po", "Lo"]), max_size=30),
)


@settings(max_examples=100)
@example(title="word " * 5 + "가나다" * 2, headings=[], text="word " * 9 + "unbelievablyoverextended" * 4,
         mode="structure", tokens=48, estimate=False)  # fmt: skip
@given(
    title=st.lists(_WORDS, max_size=40).map("".join),
    headings=st.lists(st.lists(_WORDS, max_size=20).map("".join), max_size=4),
    text=st.lists(_WORDS, max_size=150).map("".join),
    mode=st.sampled_from(["structure", "sentences", "tokens"]),
    tokens=st.sampled_from([16, 48, 8192]),
    estimate=st.booleans(),
)
def test_title_headings_and_passage_never_exceed_the_window(
    pieces: WordPieces, title: str, headings: list[str], text: str, mode: ChunkMode, tokens: int, estimate: bool
) -> None:
    tokenizer = Estimate() if estimate else pieces
    window = 64
    spans = plain(text).spans
    # Sections under ever deeper headings, as long ones as may be.
    path = tuple(" ".join(one.split()) for one in headings)
    depths = range(len(path) + 1)
    cuts = [spans[place * len(spans) // len(depths) : (place + 1) * len(spans) // len(depths)] for place in depths]
    parts = [Section(path[:depth], 0, part) for depth, part in zip(depths, cuts, strict=True)]
    chunker = _chunker(tokenizer, window, tokens, tokens // 4, mode)
    passages = chunker.pack(text, parts, title)
    wholes = [f"{one.header}\n{text[one.start : one.end]}" for one in passages]
    for counted in tokenizer.spans(wholes):
        assert len(counted) <= window
    for counted in tokenizer.spans(_texts(text, passages)):
        assert len(counted) <= tokens
    covered = {place for one in passages for place in range(one.start, one.end)}
    assert all(letter.isspace() for place, letter in enumerate(text) if place not in covered)
