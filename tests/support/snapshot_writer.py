"""`python -m tests.support.snapshot_writer FOLDER`: writes an index down again and again, with one passage more each
time, and says how many it has; for tests that kill it."""

import asyncio
import itertools
import sys
from pathlib import Path

import msgspec

from services.graph.indexes.held import HeldIndex
from services.graph.indexes.snapshots.folder import Folder
from services.graph.indexes.snapshots.standing import Given, Head, IndexKey, Standing, code
from services.graph.model import Cursor
from services.graph.points import CollectionInfo
from tests.support.passages import DIMENSION, passage

KEY = IndexKey("default", "model", DIMENSION)


async def main(path: Path) -> None:
    held, folder = HeldIndex(DIMENSION), Folder(path)
    for number in itertools.count(1):
        text = f"Ada Lovelace met visitor {number} in Berlin. " * 40
        await held.put([passage(f"one/{number}", f"Visit {number}", text, collection="one")])
        info = CollectionInfo("one", "incarnation", KEY.model, DIMENSION, graph=True)
        standing = Standing(info, Cursor("incarnation", number), Given({}, {}, []))
        with folder.writing(KEY) as writer:
            assert writer is not None
            await held.save(writer, lambda standing=standing: msgspec.to_builtins(Head(code(), KEY, [standing])))  # type: ignore[misc]
        print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
