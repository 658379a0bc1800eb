"""Passages and questions of a folder like MuSiQue's: `*_corpus.json` and beside it the questions of the same name."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Text:
    """A passage before it is embedded."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the places of the passages that answer it."""

    question: str
    gold: frozenset[int]


@dataclass(frozen=True, slots=True)
class DataSet:
    corpus: list[Text]
    questions: list[Asked]
    first_hops: list[Asked]
    """The steps of questions that need no other step's answer and are asked in words."""


def load(folder: Path) -> DataSet:
    """Reads a folder.

    Raises ValueError when it holds no corpus, or a question whose passages are not in the corpus.
    """
    files = sorted(folder.glob("*_corpus.json"))
    if not files:
        raise ValueError(f"{folder} has no file *_corpus.json")
    corpus = [Text(one["title"], one["text"]) for one in json.loads(files[0].read_text(encoding="utf-8"))]
    places = {(one.title, one.text): place for place, one in enumerate(corpus)}
    name = files[0].name.replace("_corpus", "")
    asked = json.loads((folder / name).read_text(encoding="utf-8"))
    return DataSet(
        corpus, [_question(one, places) for one in asked], [hop for one in asked for hop in _hops(one, places)]
    )


def recall(found: list[list[int]], asked: list[Asked], k: int) -> float:
    """Mean share of a question's passages among the first `k` found, in percent."""
    return 100 * float(
        np.mean(
            [len(one.gold.intersection(places[:k])) / len(one.gold) for places, one in zip(found, asked, strict=True)]
        )
    )


def _question(one: dict[str, Any], places: dict[tuple[str, str], int]) -> Asked:
    supporting = [paragraph for paragraph in one["paragraphs"] if paragraph["is_supporting"]]
    try:
        return Asked(one["question"], frozenset(places[_key(paragraph)] for paragraph in supporting))
    except KeyError as missing:
        raise ValueError(f"a passage of {one['question']!r} is not in the corpus") from missing


def _hops(one: dict[str, Any], places: dict[tuple[str, str], int]) -> list[Asked]:
    paragraphs = {paragraph["idx"]: paragraph for paragraph in one["paragraphs"]}
    hops = []
    for step in one.get("question_decomposition", []):
        place = places.get(_key(paragraphs[step["paragraph_support_idx"]]))
        # "#1" refers to another step; "A >> author" is a relation, not a question.
        if place is not None and "#" not in step["question"] and ">>" not in step["question"]:
            hops.append(Asked(step["question"], frozenset([place])))
    return hops


def _key(paragraph: dict[str, Any]) -> tuple[str, str]:
    return paragraph["title"], paragraph["paragraph_text"]
