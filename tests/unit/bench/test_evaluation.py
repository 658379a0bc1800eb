"""What `make eval` reads, and what it says when it can't."""

import json
from pathlib import Path

import pytest

from bench._harness.cli import BenchmarkError
from bench.evaluation import corpus, triples
from bench.evaluation.__main__ import main
from bench.retrieval.questions import load

_CORPUS = [{"title": "Ada", "text": "Ada wrote."}, {"title": "Bob", "text": "Bob read."}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "some_corpus.json").write_text(json.dumps(_CORPUS))
    paragraphs = [{"title": one["title"], "paragraph_text": one["text"], "is_supporting": True} for one in _CORPUS]
    asked = {"question": "Who?", "paragraphs": [{"idx": n, **one} for n, one in enumerate(paragraphs)]}
    (tmp_path / "some.json").write_text(json.dumps([asked]))
    return tmp_path


def test_without_data_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("PERGOLA_EVAL_DIR", raising=False)
    assert main([]) == 1
    assert "PERGOLA_EVAL_DIR" in capsys.readouterr().err
    assert main([str(tmp_path / "missing")]) == 1
    assert "There is no folder" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 1
    assert "_corpus.json" in capsys.readouterr().err
    with pytest.raises(BenchmarkError, match="PERGOLA_EVAL_DIR"):
        corpus.data()


def test_an_unknown_variant_is_refused_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--variants", "dense,best"])
    assert "no variant 'best'; there are dense, retrieve" in capsys.readouterr().err


def test_triples_are_those_of_the_corpus(folder: Path) -> None:
    data = load(folder)
    assert triples.load(folder, data) == {}
    said = [
        [["Ada", "wrote to", "Bob"], ["Ada", "wrote"], ["", "is", "Bob"]],
        [["Ada", "wrote to", "Bob"], ["Bob", "read", "Ada"]],
    ]
    documents = [{**one, "extracted_triples": found} for one, found in zip(_CORPUS, said, strict=True)]
    (folder / "openie_model.json").write_text(json.dumps({"docs": documents}))
    assert triples.load(folder, data) == {("Ada", "wrote to", "Bob"): [0, 1], ("Bob", "read", "Ada"): [1]}
    (folder / "openie_model.json").write_text(json.dumps({"docs": documents[:1]}))
    with pytest.raises(ValueError, match="not of this corpus"):
        triples.load(folder, data)
