"""When an index is written down: in quiet moments, before too much would have to be read again, not all the time."""

from pathlib import Path

import pytest

from services.graph.indexes import held as held_index
from services.graph.indexes.held import HeldIndex, Size
from services.graph.indexes.snapshots import keeping
from services.graph.indexes.snapshots.keeping import Snapshots
from services.graph.indexes.snapshots.standing import Given, IndexKey, Standing
from services.graph.model import Cursor
from services.graph.points import CollectionInfo
from tests.support.passages import DIMENSION, passage

_KEY = IndexKey("default", "model", DIMENSION)


class Clock:
    """The clock that is asked, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for module in (keeping, held_index):
            monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        return self.now


def _standings() -> list[Standing]:
    info = CollectionInfo("one", "incarnation", _KEY.model, DIMENSION, graph=True)
    return [Standing(info, Cursor("incarnation", 1), Given({}, {}, []))]


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def _change(held: HeldIndex, number: int) -> None:
    await held.put([passage(f"one/{number}", "", f"Ada Lovelace met visitor {number}.", collection="one")])


async def test_it_is_written_when_nothing_has_changed_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, held, snapshots = Clock(monkeypatch), HeldIndex(DIMENSION), Snapshots(tmp_path)
    assert await snapshots.load(_KEY, held, {}) == []
    clock.now += 3600
    assert not snapshots.due(_KEY, held)
    await _change(held, 1)
    assert not snapshots.due(_KEY, held)
    clock.now += 11
    assert snapshots.due(_KEY, held)
    await snapshots.save(_KEY, held, _standings)
    assert not snapshots.due(_KEY, held)
    # Not again at once, quiet as it may be.
    await _change(held, 2)
    clock.now += 30
    assert not snapshots.due(_KEY, held)
    clock.now += 31
    assert snapshots.due(_KEY, held)


async def test_without_a_quiet_moment_it_waits_for_many_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, held, snapshots = Clock(monkeypatch), HeldIndex(DIMENSION), Snapshots(tmp_path)
    await snapshots.load(_KEY, held, {})
    clock.now += 3600
    await _change(held, 1)
    held.changes = 2000
    assert snapshots.due(_KEY, held)
    # Of a large one every eighth.
    held.size = Size(passages=80_000)
    assert not snapshots.due(_KEY, held)
    held.changes = 10_000
    assert snapshots.due(_KEY, held)


async def test_what_holds_nothing_whole_is_not_written(tmp_path: Path) -> None:
    held, snapshots = HeldIndex(DIMENSION), Snapshots(tmp_path)
    await snapshots.load(_KEY, held, {})
    await _change(held, 1)
    await snapshots.save(_KEY, held, list)
    assert _files(tmp_path) == []
    await snapshots.save(_KEY, held, _standings)
    (file,) = _files(tmp_path)
    written = file.stat().st_mtime_ns
    await snapshots.save(_KEY, held, _standings)
    assert file.stat().st_mtime_ns == written
    other = HeldIndex(DIMENSION)
    # Of another incarnation nothing is taken over.
    assert await snapshots.load(_KEY, other, {"one": "another"}) == []
    assert await snapshots.load(_KEY, other, {"one": "incarnation"}) == _standings()
    assert other.size.passages == 1


async def test_without_a_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    held, snapshots = HeldIndex(DIMENSION), Snapshots(None)
    assert await snapshots.load(_KEY, held, {"one": "incarnation"}) == []
    await _change(held, 1)
    await snapshots.save(_KEY, held, _standings)
    await snapshots.sweep(frozenset())
    assert _files(tmp_path) == []


async def test_a_folder_that_cannot_be_written_is_a_line_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(monkeypatch)
    held, snapshots = HeldIndex(DIMENSION), Snapshots(tmp_path / "file" / "in the way")
    (tmp_path / "file").write_text("")
    await snapshots.load(_KEY, held, {})
    await _change(held, 1)
    await snapshots.save(_KEY, held, _standings)
    assert "can't be written down" in caplog.text
    # Tried again, but not at once.
    clock.now += 59
    assert not snapshots.due(_KEY, held)
    clock.now += 2
    assert snapshots.due(_KEY, held)
