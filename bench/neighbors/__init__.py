"""What it brings that turns of conversations see the turn before them, on a few written for this purpose.

The baseline holds the same turns, each by itself. Both are asked by hybrid QueryPoints and by Retrieve. What is found
first is mostly the turn that asks; it counts whether the answer comes with it. So few questions tell a direction only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bench._harness.result import Result, Series
from bench.evaluation.suite import Suite, running
from bench.neighbors.dialogues import DIALOGUES, Dialogue
from bench.retrieval.questions import Text
from pergola.graph.v1 import retrieval_pb2
from pergola.vector.v1 import point_pb2

_DEPTHS: Final = (2, 3, 5)
_SECONDS: Final = 60.0
_COLLECTIONS: Final = {"seeing": "with the turn before", "alone": "without"}

Search = Callable[[str, str], Sequence[str]]
"""Collection and question to the texts that are found, best first."""


def measure(rounds: int, seconds: float) -> Result:  # noqa: ARG001 - what is found is the same each time
    """Raises BenchmarkError when Pergola cannot be started."""
    with running() as suite:
        suite.create("seeing", neighbors="auto")
        suite.ingest("seeing", [Text(one.title, "\n".join(_lines(one))) for one in DIALOGUES])
        suite.create("alone", neighbors="off")
        suite.ingest("alone", [Text(one.title, line) for one in DIALOGUES for line in _lines(one)])
        for name in _COLLECTIONS:
            suite.followed(name)
        searches: Mapping[str, Search] = {
            "hybrid QueryPoints": lambda name, text: _hybrid(suite, name, text),
            "Retrieve": lambda name, text: _retrieve(suite, name, text),
        }
        shares = {
            (what, name, depth): share
            for what, search in searches.items()
            for name in _COLLECTIONS
            for depth, share in _recall(search, name).items()
        }
    questions = sum(len(one.questions) for one in DIALOGUES)
    return Result(
        name="neighbors",
        ratio=shares["Retrieve", "seeing", 3] / shares["Retrieve", "alone", 3],
        what=f"R@3 of Retrieve on {questions} questions, turns seeing the turn before against turns by themselves",
        series=[
            Series(f"{what}, {_COLLECTIONS[name]}", f"R@{depth}", "%", [share])
            for (what, name, depth), share in shares.items()
        ],
        settings={"conversations": len(DIALOGUES), "questions": questions},
    )


def _lines(dialogue: Dialogue) -> list[str]:
    return [f"{dialogue.speakers[place % 2]}: {turn}" for place, turn in enumerate(dialogue.turns)]


def _recall(search: Search, name: str) -> Mapping[int, float]:
    """By depth, the percentage of questions whose answer is found."""
    found = [(_lines(one)[place], search(name, text)) for one in DIALOGUES for text, place in one.questions]
    return {depth: 100 * sum(answer in texts[:depth] for answer, texts in found) / len(found) for depth in _DEPTHS}


def _hybrid(suite: Suite, name: str, text: str) -> list[str]:
    request = point_pb2.QueryPointsRequest(collection=name, text=text, mode="hybrid", k=max(_DEPTHS))
    return [one.point.chunk.text for one in suite.points.QueryPoints(request, timeout=_SECONDS).points]


def _retrieve(suite: Suite, name: str, text: str) -> list[str]:
    request = retrieval_pb2.RetrieveRequest(collections=[name], question=text, k=max(_DEPTHS))
    return [one.text for one in suite.retrieval.Retrieve(request, timeout=_SECONDS).passages]
