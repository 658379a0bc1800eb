"""python -m bench.retrieval [DATA] --vectors DIR [--scale N]: recall of a question set, and time and memory at size.

DATA is a folder like MuSiQue's (default: PERGOLA_EVAL_DIR). The vectors of its texts are computed once and kept in DIR.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from bench.retrieval.distractors import MadeUpVectors, distractors
from bench.retrieval.indexing import add, build
from bench.retrieval.questions import Asked, DataSet, load, recall
from bench.retrieval.vectors import KeptVectors
from services.graph.passages.index.index import PassageIndex
from services.graph.passages.passage import Vector, Vectors
from services.graph.passages.query import base
from services.graph.passages.query.question import understand
from services.graph.passages.query.retrieve import retrieve
from services.graph.passages.query.scope import Scope

_K = 10
_BATCH = 1000

Searcher = Callable[[PassageIndex, str, Vector], list[str]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval", description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=os.environ.get("PERGOLA_EVAL_DIR"))
    parser.add_argument("--vectors", type=Path, required=True, help="folder in which vectors are kept")
    parser.add_argument("--scale", type=int, default=0, help="also measure time and memory up to so many passages")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the folder of the data, or set PERGOLA_EVAL_DIR")
    data = load(Path(arguments.data))
    vectors = KeptVectors(arguments.vectors)
    index = build(data.corpus, vectors)
    _quality(data, vectors, index)
    _report(index, data.questions, vectors.of([one.question for one in data.questions]))
    if arguments.scale:
        _scale(index, data, vectors, arguments.scale)
    return 0


def _quality(data: DataSet, vectors: KeptVectors, index: PassageIndex) -> None:
    lower = [Asked(one.question.lower(), one.gold) for one in data.questions]
    untitled = build(data.corpus, vectors, titled=False)
    print(f"{'':26} {'R@2':>6} {'R@5':>6} {'R@10':>6}   ({len(data.corpus)} passages, {len(data.questions)} questions)")
    for name, searched, asked, search in (
        ("dense", index, data.questions, _dense),
        ("s1", index, data.questions, _base),
        ("retrieve", index, data.questions, _whole),
        ("retrieve, lower case", index, lower, _whole),
        ("dense, untitled", untitled, data.questions, _dense),
        ("retrieve, untitled", untitled, data.questions, _whole),
        ("dense, single hop", index, data.first_hops, _dense),
        ("s1, single hop", index, data.first_hops, _base),
        ("retrieve, single hop", index, data.first_hops, _whole),
    ):
        _row(name, searched, asked, vectors.of([one.question for one in asked]), search)


def _row(name: str, index: PassageIndex, asked: Sequence[Asked], vectors: Vectors, search: Searcher) -> None:
    found = [
        [int(id) for id in search(index, one.question, vector)] for one, vector in zip(asked, vectors, strict=True)
    ]
    print(f"{name:26} " + " ".join(f"{recall(found, list(asked), k):6.1f}" for k in (2, 5, 10)), flush=True)


def _dense(index: PassageIndex, _question: str, vector: Vector) -> list[str]:
    scores = index.first_pass(vector)
    return [index.id(int(slot)) for slot in np.argsort(-scores, kind="stable")[:_K]]


def _base(index: PassageIndex, question: str, vector: Vector) -> list[str]:
    scope = Scope(index)
    scored = base.score(scope, understand(scope, question, vector), _K)
    return [index.id(int(slot)) for slot in scored.best[:_K]]


def _whole(index: PassageIndex, question: str, vector: Vector) -> list[str]:
    return [hit.id for hit in retrieve(Scope(index), question, vector, _K).hits]


def _report(index: PassageIndex, asked: Sequence[Asked], vectors: Vectors) -> None:
    """Time and memory."""
    index.compact()
    stages: dict[str, list[float]] = {}
    totals = []
    for turn in range(2):
        for one, vector in zip(asked, vectors, strict=True):
            answer = retrieve(Scope(index), one.question, vector, _K)
            # The first turn fills what is computed once a mention.
            if turn:
                totals.append(sum(answer.milliseconds.values()))
                for stage, spent in answer.milliseconds.items():
                    stages.setdefault(stage, []).append(spent)
    parts = ", ".join(f"{stage} {np.median(spent):.1f}" for stage, spent in stages.items())
    print(
        f"{len(index)} passages: {np.median(totals):.1f} ms (p95 {np.percentile(totals, 95):.1f}) a question: {parts}; "
        f"{index.nbytes / len(index):.0f} bytes a passage",
        flush=True,
    )


def _scale(index: PassageIndex, data: DataSet, vectors: KeptVectors, most: int) -> None:
    """Adds distractors to the corpus and measures at 10,000, 30,000, 100,000 … passages."""
    made_up = MadeUpVectors(vectors.dimension)
    more = distractors(data.corpus, most)
    asked = vectors.of([one.question for one in data.questions])
    size = 10_000
    while size <= most:
        begin = time.perf_counter()
        longest = 0.0
        before = len(index)
        while batch := list(islice(more, min(_BATCH, size - len(index)))):
            longest = max(longest, add(index, batch, made_up))
        index.settle(made_up.of)
        spent = (time.perf_counter() - begin) / (size - before) * 1000
        print(f"  added {size - before}: {spent:.1f} ms each, made-up vectors included; longest pause {longest:.1f} s")
        _row(f"retrieve among {size}", index, data.questions, asked, _whole)
        _report(index, data.questions, asked)
        size = size * 3 if str(size).startswith("1") else size * 10 // 3
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
