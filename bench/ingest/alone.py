"""The embedding model alone: reads a JSON list of passages a line, answers each with the passages a second it made."""

import json
import os
import sys
import time
from pathlib import Path

import uvloop

from services.providers.embedding.minilm import MiniLM


async def main() -> None:
    model = MiniLM(Path(sys.argv[1]), threads=os.cpu_count() or 1)
    model.load()
    for line in sys.stdin:
        passages = json.loads(line)
        began = time.perf_counter()
        await model.embed(passages)
        print(len(passages) / (time.perf_counter() - began), flush=True)
    await model.close()


if __name__ == "__main__":
    uvloop.run(main())
