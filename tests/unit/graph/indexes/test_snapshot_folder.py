"""Files of indexes: whole or not at all, of nobody else, and no more of them than indexes."""

import asyncio
import fcntl
import logging
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from services.graph.indexes.held import HeldIndex
from services.graph.indexes.snapshots.file import Damaged
from services.graph.indexes.snapshots.folder import Folder
from services.graph.indexes.snapshots.standing import Given, Head, IndexKey, Standing, code
from services.graph.model import Cursor
from services.graph.passages.query.retrieve import Answer
from services.graph.points import CollectionInfo
from tests.support import snapshot_writer
from tests.support.passages import DIMENSION, ask, passage

_KEY = IndexKey("default", "a/model: of ours", DIMENSION)
_STANDING = Standing(
    CollectionInfo("one", "incarnation", _KEY.model, DIMENSION, graph=True),
    Cursor("incarnation.3", 7),
    Given({"p": {"ada lovelace": "Ada Lovelace"}}, {"ada": "ada lovelace"}, ["q"]),
)


async def _held(count: int = 12) -> HeldIndex:
    held = HeldIndex(DIMENSION)
    await held.put(
        [
            passage(f"one/{n}", f"Title {n}", f"Ada Lovelace met Alan Turing in place {n // 2}.", collection="one")
            for n in range(count)
        ]
    )
    return held


async def _save(folder: Folder, held: HeldIndex, key: IndexKey = _KEY, made_by: str = "") -> bool:
    with folder.writing(key) as writer:
        if writer is None:
            return False
        await held.save(writer, lambda: msgspec.to_builtins(Head(made_by or code(), key, [_STANDING])))
    return True


async def _answer(held: HeldIndex) -> Answer:
    return await held.ask(lambda index: ask(index, "Whom did Ada Lovelace meet in place 3?"))


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def test_what_was_written_is_read(tmp_path: Path) -> None:
    folder, held = Folder(tmp_path / "new" / "folder"), await _held()
    assert folder.open(_KEY) is None
    assert await _save(folder, held)
    opened = folder.open(_KEY)
    assert opened is not None
    head, reader = opened
    assert head == Head(code(), _KEY, [_STANDING])
    other = HeldIndex(DIMENSION)
    await other.load(reader, ["one"])
    assert (await _answer(other)).hits == (await _answer(held)).hits
    # Of collections that are no more, nothing is left.
    opened = folder.open(_KEY)
    assert opened is not None
    await other.load(opened[1], ["two"])
    assert (await _answer(other)).hits == []
    (file,) = _files(tmp_path / "new" / "folder")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_a_file_that_is_not_whole_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = Folder(tmp_path)
    await _save(folder, await _held())
    (file,) = _files(tmp_path)
    whole = file.read_bytes()
    for size in [*range(0, len(whole), max(1, len(whole) // 97)), len(whole) - 1]:
        file.write_bytes(whole[:size])
        assert folder.open(_KEY) is None
    assert "not used" in caplog.text
    for place in range(0, len(whole), max(1, len(whole) // 997)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert not await _usable(folder), f"byte {place} of {len(whole)}"
    file.write_bytes(whole + b"more")
    assert not await _usable(folder)
    file.write_bytes(whole)
    assert await _usable(folder)


async def _usable(folder: Folder) -> bool:
    opened = folder.open(_KEY)
    if opened is None:
        return False
    try:
        await HeldIndex(DIMENSION).load(opened[1], ["one"])
    except (Damaged, ValueError):
        return False
    return True


async def test_what_is_of_others_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, held = Folder(tmp_path), await _held()
    other = IndexKey("other", _KEY.model, DIMENSION)
    await _save(folder, held, other)
    assert folder.open(_KEY) is None
    (file,) = _files(tmp_path)
    # The file of another tenant under this one's name.
    file.rename(folder._file(_KEY))
    assert folder.open(_KEY) is None
    assert "of another index" in caplog.text
    await _save(folder, held, made_by="somebody else")
    assert folder.open(_KEY) is None
    assert "another version" in caplog.text


async def test_the_half_of_a_file_changes_nothing(tmp_path: Path) -> None:
    folder, held = Folder(tmp_path), await _held()
    await _save(folder, held)
    with pytest.raises(OSError, match="full"):
        _fail(folder)
    assert [one.suffix for one in _files(tmp_path)] == [".index"]
    # A process that is killed leaves what it had.
    left = tmp_path / f"{_files(tmp_path)[0].stem}.index.new"
    left.write_bytes(b"the half of something" * 1000)
    assert await _usable(folder)
    assert await _save(folder, held)
    assert await _usable(folder)
    assert not left.exists()


def _fail(folder: Folder) -> None:
    with folder.writing(_KEY) as writer:
        assert writer is not None
        raise OSError("the disk is full")


async def test_one_process_writes_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, held = Folder(tmp_path), await _held()
    with folder.writing(_KEY) as writer:
        assert writer is not None
        assert not await _save(Folder(tmp_path), held)
        await held.save(writer, lambda: msgspec.to_builtins(Head(code(), _KEY, [_STANDING])))
    assert await _usable(folder)
    # Who gets the lock of a file that was put in its place meanwhile has nothing to write to.
    lock = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        for one in tmp_path.glob("*.new"):
            one.replace(one.with_suffix(""))
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert not await _save(folder, held)


async def test_questions_are_answered_while_an_index_is_written(tmp_path: Path) -> None:
    folder, held = Folder(tmp_path), await _held(200)
    expected = (await _answer(held)).hits
    asked: list[Answer] = []

    async def asking() -> None:
        while True:
            asked.append(await _answer(held))

    changing = asyncio.Event()

    def head() -> dict[str, object]:
        changing.set()
        found: dict[str, object] = msgspec.to_builtins(Head(code(), _KEY, [_STANDING]))
        return found

    async def change() -> None:
        await changing.wait()
        await held.delete([f"one/{n}" for n in range(200)])

    questions = asyncio.create_task(asking())
    changes = asyncio.create_task(change())
    with folder.writing(_KEY) as writer:
        assert writer is not None
        await held.save(writer, head)
        answered = len(asked)
        assert not changes.done()
    await changes
    questions.cancel()
    await asyncio.gather(questions, return_exceptions=True)
    assert answered > 0
    # What came while it was written is not in it.
    other = HeldIndex(DIMENSION)
    opened = folder.open(_KEY)
    assert opened is not None
    await other.load(opened[1], ["one"])
    assert (await _answer(other)).hits == expected


def test_snapshots_of_indexes_that_are_no_more_go(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = Folder(tmp_path)
    keys: Sequence[IndexKey] = [_KEY, IndexKey("other", "model", 3)]
    for key in keys:
        folder._file(key).write_bytes(b"something")
    (tmp_path / f"{folder._name(keys[1])}.index.new").write_bytes(b"the half")
    (tmp_path / "notes.txt").write_text("of somebody else")
    folder.sweep([_KEY])
    assert {one.name for one in tmp_path.iterdir()} == {folder._file(_KEY).name, "notes.txt"}
    Folder(tmp_path / "missing").sweep([])
    if os.geteuid():
        tmp_path.chmod(0o500)
        with caplog.at_level(logging.WARNING):
            folder.sweep([])
        tmp_path.chmod(0o700)
        assert "can't remove" in caplog.text


@pytest.mark.parametrize("seed", range(5))
async def test_killed_while_it_writes_it_leaves_a_whole_file(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.snapshot_writer", str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(draw.randint(1, 30)):
        said = int(await process.stdout.readline())
    # Some part of a writing later.
    for _ in range(draw.randint(0, 2000)):
        await asyncio.sleep(0)
    process.kill()
    said = max([said, *map(int, (await process.stdout.read()).split())])
    await process.wait()
    opened = Folder(tmp_path).open(snapshot_writer.KEY)
    assert opened is not None
    head, reader = opened
    held = HeldIndex(DIMENSION)
    await held.load(reader, ["one"])
    await held.measure()
    # What it said is there, or what it had just put in its place.
    assert held.size.passages == head.collections[0].cursor.seq
    assert held.size.passages in (said, said + 1)
