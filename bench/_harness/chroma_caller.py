"""What runs in Chroma's environment: reads one JSON object a line, does what it says, answers with one line.

Only the standard library, numpy and chromadb: nothing of Pergola is there.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import chromadb  # type: ignore[import-not-found,unused-ignore]
import numpy as np


class Actions:
    """What the caller can be asked for. Every method is an action; its arguments are the object's other fields."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._client = chromadb.HttpClient(host="127.0.0.1", port=port)

    def create(self, name: str, space: str, ef: int | None = None) -> None:
        """A collection; HNSW with Chroma's own defaults, but for `ef` (ef_search) where it is given."""
        hnsw: dict[str, Any] = {"space": space} | ({} if ef is None else {"ef_search": ef})
        self._client.create_collection(name, configuration={"hnsw": hnsw}, embedding_function=None)

    def delete(self, name: str) -> None:
        self._client.delete_collection(name)

    def set_ef(self, name: str, ef: int) -> None:
        """How wide the index is searched from now on."""
        self._collection(name).modify(configuration={"hnsw": {"ef_search": ef}})

    def count(self, name: str) -> int:
        return int(self._collection(name).count())

    def upsert(
        self, name: str, vectors: str, ids: str, batch: int, documents: str = "", callers: int = 1
    ) -> dict[str, float]:
        """Upserts all rows of a .npy file, `batch` a call, from so many threads; the seconds that took.

        `ids`, `documents`: JSON files, a list of texts each. Without documents: vectors and ids alone.
        """
        rows = np.load(vectors)
        names = json.loads(Path(ids).read_text())
        texts = json.loads(Path(documents).read_text()) if documents else None
        collections = [self._collection(name, own=True) for _ in range(callers)]

        def part(number: int) -> None:
            for first in range(number * batch, len(rows), batch * callers):
                last = first + batch
                collections[number].upsert(
                    ids=names[first:last],
                    embeddings=rows[first:last],
                    documents=None if texts is None else texts[first:last],
                )

        begun = time.perf_counter()
        with ThreadPoolExecutor(callers) as pool:
            list(pool.map(part, range(callers)))
        return {"seconds": time.perf_counter() - begun}

    def query(self, name: str, vectors: str, k: int, seconds: float, callers: int = 1) -> dict[str, Any]:
        """Asks for the `k` nearest of the rows of a .npy file, one a call, round and round for so many seconds.

        Answers `count`, `seconds`, `latencies` (seconds, of all calls) and `ids`: the last answer to each row that was
        asked.
        """
        rows = np.load(vectors)
        found: dict[int, list[str]] = {}
        collections = [self._collection(name, own=True) for _ in range(callers)]
        end = time.perf_counter() + seconds

        def ask(number: int) -> list[float]:
            latencies = []
            row = number
            while time.perf_counter() < end:
                begun = time.perf_counter()
                answer = collections[number].query(query_embeddings=rows[row % len(rows)], n_results=k, include=[])
                latencies.append(time.perf_counter() - begun)
                found[row % len(rows)] = answer["ids"][0]
                row += callers
            return latencies

        begun = time.perf_counter()
        with ThreadPoolExecutor(callers) as pool:
            latencies = [one for part in pool.map(ask, range(callers)) for one in part]
        elapsed = time.perf_counter() - begun
        return {"count": len(latencies), "seconds": elapsed, "latencies": latencies, "ids": found}

    def search(self, name: str, vectors: str, k: int) -> list[list[str]]:
        """The ids of the `k` nearest of each row of a .npy file."""
        collection = self._collection(name)
        rows = np.load(vectors)
        return [collection.query(query_embeddings=row, n_results=k, include=[])["ids"][0] for row in rows]

    def _collection(self, name: str, *, own: bool = False) -> Any:
        client = chromadb.HttpClient(host="127.0.0.1", port=self._port) if own else self._client
        return client.get_collection(name, embedding_function=None)


def main() -> None:
    actions = Actions(int(sys.argv[1]))
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"done": getattr(actions, asked.pop("do"))(**asked)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:2000]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
