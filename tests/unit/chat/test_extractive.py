"""The model without a model: sentences, their choice, their order."""

import pytest

from services.providers.chat_model import ChatPrompt, Finish, Source
from services.providers.extractive import ExtractiveModel
from services.providers.extractive.sentences import best_sentences, sentences
from services.runtime.errors import InvalidArgument

SOURCES = [
    Source(1, "Gardens", "Pergolas carry climbing plants. They stand in gardens. Roses like the sun."),
    Source(2, "Engines", "# The engine\n\nCharles Babbage designed the Analytical Engine in 1837. It was never built."),
    Source(3, "Ada", "Dr. Ada Lovelace wrote notes on the Analytical Engine, e.g. on Bernoulli numbers."),
]


async def answer(question: str, sources: list[Source] | None, **fields: int) -> tuple[str, Finish]:
    model = ExtractiveModel()
    pieces = [piece async for piece in model.stream(ChatPrompt([], question, sources, **fields))]
    assert isinstance(pieces[-1], Finish)
    return "".join(piece for piece in pieces if isinstance(piece, str)), pieces[-1]


async def test_the_best_sentences_are_quoted_and_cited() -> None:
    text, finish = await answer("Who designed the Analytical Engine?", SOURCES)
    assert "- Charles Babbage designed the Analytical Engine in 1837. [2]" in text
    assert "- Dr. Ada Lovelace wrote notes on the Analytical Engine, e.g. on Bernoulli numbers. [3]" in text
    assert "Pergolas" not in text
    assert "no language model wrote this" in text
    assert finish == Finish("stop")


async def test_the_same_question_gets_the_same_answer() -> None:
    assert await answer("Which plants climb?", SOURCES) == await answer("Which plants climb?", SOURCES)


async def test_without_a_common_word_the_passages_open_the_answer() -> None:
    text, _ = await answer("Quid novi?", SOURCES)
    assert "Pergolas carry climbing plants. [1]" in text
    assert "It was never built" not in text


async def test_nothing_found_is_said() -> None:
    text, finish = await answer("Anything?", [])
    assert text.startswith("No passage was found")
    assert finish.reason == "stop"


async def test_without_retrieval_it_refuses() -> None:
    with pytest.raises(InvalidArgument, match="name collections in `retrieval`"):
        await answer("Anything?", None)


async def test_a_short_answer_ends_between_sentences() -> None:
    text, finish = await answer("Who designed the Analytical Engine?", SOURCES, max_output_tokens=40)
    assert finish.reason == "length"
    assert text.endswith("[2]")


def test_what_says_the_same_is_said_once() -> None:
    twice = [Source(1, "", "Ivy clings to old walls."), Source(2, "", "Ivy clings to old walls!")]
    assert [one.number for one in best_sentences("Where does ivy cling?", twice, 5)] == [1]


def test_other_forms_of_a_word_are_found() -> None:
    sources = [Source(1, "", "Answers are cached for an hour. Boats float.")]
    assert [one.text for one in best_sentences("How does caching an answer work?", sources, 5)] == [
        "Answers are cached for an hour."
    ]


def test_scripts_without_spaces_are_matched() -> None:
    sources = [Source(1, "", "猫が外に座っている。犬が庭で遊ぶ。")]
    assert best_sentences("犬は庭", sources, 1)[0].number == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("J. Watt met Dr. Black. They spoke.", ["J. Watt met Dr. Black.", "They spoke."]),
        ("# Title\n\n- **Bold** item\n- `code` here", ["Title", "Bold item code here"]),
        ("It costs 3.50 today.", ["It costs 3.50 today."]),
        ("", []),
        ("x" * 500, ["x" * 399 + "…"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected
