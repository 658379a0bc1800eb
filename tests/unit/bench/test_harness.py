"""The benchmarks' harness: turns, medians, and the line that others read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench._harness import report
from bench._harness.cli import main, names
from bench._harness.result import Bar, Result, Series
from bench._harness.rounds import alternate


def test_contenders_take_turns_and_the_warm_up_does_not_count() -> None:
    calls: list[str] = []

    def contender(name: str) -> int:
        calls.append(name)
        return len(calls)

    measured = alternate({name: lambda name=name: contender(name) for name in "ab"}, rounds=2)  # type: ignore[misc]
    assert calls == ["b", "a", "a", "b", "b", "a"], "in changing order"
    assert measured == {"a": [3, 6], "b": [4, 5]}


RESULT = Result(
    name="relay",
    ratio=12.34,
    what="this against that",
    series=[Series("this", "answers", "per second", [10.0, 30.0, 20.0])],
    settings={"streams": 16},
    versions={"that": "1.2"},
    bars=[Bar("fast", 12.34, 3), Bar("small", 12.34, 3, at_most=True)],
    notes=["on a busy machine"],
)


def test_the_last_line_is_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    report.show(RESULT)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "RESULT relay 12.3x this against that"
    assert any("20.00 per second" in line and "±50%" in line for line in lines)
    assert "bar: fast: 12.34x, wanted at least 3.00x: reached" in lines
    assert "bar: small: 12.34x, wanted at most 3.00x: NOT reached" in lines
    report.show(replace(RESULT, ratio=0.906))
    assert capsys.readouterr().out.splitlines()[-1] == "RESULT relay 0.91x this against that"


def test_the_file_holds_everything(tmp_path: Path) -> None:
    report.write(RESULT, tmp_path / "relay.json")
    content = json.loads((tmp_path / "relay.json").read_text())
    assert content["ratio"] == 12.34
    assert content["series"][0]["median"] == 20.0
    assert [bar["reached"] for bar in content["bars"]] == [True, False]
    assert set(content["machine"]) >= {"processor", "cores", "commit"}


def test_unknown_names_are_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"relay", "query-batch"} <= set(names())
    with pytest.raises(SystemExit) as ended:
        main(["nonsense"])
    assert ended.value.code == 2
    assert "relay" in capsys.readouterr().err
