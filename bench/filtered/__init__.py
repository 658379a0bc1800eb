"""Filtered search against pgvector's own way: one table with the vectors, the fields as columns, an HNSW index, and
`hnsw.iterative_scan = relaxed_order`.

1% and 0.1% of 100,000 points fit; the field either has nothing to do with the vector, or follows it, so that what fits
lies in one region, mostly not the question's. 8 callers, k = 10. Pergola answers with ids alone, as the baseline does.
The baseline is not given an index over the field, with which PostgreSQL would not ask the HNSW index at all;
`hnsw.ef_search` and `hnsw.max_scan_tuples` are as they come (40; 20,000).
"""
# ruff: noqa: S608 - the texts are put together from constants of this file

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import asyncpg

from bench._harness.result import Bar, Result, Series
from bench._points.callers import CALLERS, Ask, Load, Pergola, Rounds, median, one_loop, recall
from bench._points.data import BANDS, Data, Vectors
from bench._points.service import Service, holding
from services.vector.stores.database import codecs

_COUNT: Final = 100_000
_K: Final = 10
_PROBES: Final = 100
_PERGOLA: Final = "Pergola QueryPoints"
_RAW: Final = "pgvector, iterative scan"
_FIELDS: Final = tuple(f"{kind}{many}" for kind in ("tag", "band") for many in BANDS)
_TITLES: Final = {"tag": "independent", "band": "correlated"}


class _Iterative:
    """A table of its own in the same database, asked on prepared statements."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._connections: list[Any] = []
        self._statements: dict[str, list[Any]] = {}

    async def open(self, data: Data) -> None:
        """Fills the table, builds the index, prepares."""
        owner = await asyncpg.connect(**self._service.superuser())
        await codecs.register(owner)
        columns = ", ".join(f"{name} int NOT NULL" for name in _FIELDS)
        await owner.execute(f"CREATE TABLE flat (n int PRIMARY KEY, {columns}, embedding halfvec({data.dimension}))")
        await owner.execute("ALTER TABLE flat ALTER embedding SET STORAGE PLAIN")
        fields = [data.field(name) for name in _FIELDS]
        rows = ((n, *(int(field[n]) for field in fields), data.vectors[n]) for n in range(data.count))
        await owner.copy_records_to_table("flat", records=rows, columns=["n", *_FIELDS, "embedding"])
        await owner.execute("CREATE INDEX ON flat USING hnsw (embedding halfvec_cosine_ops)")
        await owner.execute("GRANT SELECT ON flat TO PUBLIC")
        await owner.execute("VACUUM ANALYZE flat")
        await owner.close()
        settings = {"hnsw.iterative_scan": "relaxed_order", "jit": "off"}
        for _ in range(CALLERS):
            connection = await asyncpg.connect(**self._service.login(), server_settings=settings)
            await codecs.register(connection)
            self._connections.append(connection)
            for name in _FIELDS:
                self._statements.setdefault(name, []).append(await connection.prepare(_statement(name)))

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()

    def asking(self, name: str, queries: Vectors, values: Sequence[int]) -> Ask:
        """Asks for these, round and round."""
        statements = self._statements[name]

        async def ask(caller: int, number: int) -> None:
            place = number % len(queries)
            await statements[caller].fetch(queries[place], values[place])

        return ask

    async def found(self, name: str, queries: Vectors, values: Sequence[int]) -> list[set[int]]:
        """The numbers of the points that answer each."""
        statement = self._statements[name][0]
        return [
            {row["n"] for row in await statement.fetch(query, value)}
            for query, value in zip(queries, values, strict=True)
        ]


def _statement(name: str) -> str:
    # In relaxed order what the scan brings has to be sorted once more.
    return f"""
        WITH relaxed AS MATERIALIZED (
            SELECT n, embedding <=> $1 AS distance FROM flat WHERE {name} = $2 ORDER BY embedding <=> $1 LIMIT {_K})
        SELECT n, distance FROM relaxed ORDER BY distance + 0"""


def measure(rounds: int, seconds: float) -> Result:
    """Raises BenchmarkError when Pergola cannot be started."""
    data = Data(_COUNT)
    rounds, seconds = min(rounds, 3), min(seconds, 3.0)
    loads: dict[str, dict[str, list[Load]]] = {}
    recalls: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pergola-bench-")))
        service = stack.enter_context(holding(folder / "pergola", data))
        rounds_of = stack.enter_context(one_loop())
        pergola, raw = Pergola(service), _Iterative(service)
        rounds_of.run(pergola.open())
        rounds_of.run(raw.open(data))
        for name in _FIELDS:
            recalls[name] = _recalls(rounds_of, pergola, raw, data, name)
            loads[name] = rounds_of.measure(_asks(pergola, raw, data, name), CALLERS, seconds, rounds)
        rounds_of.run(raw.close())
        rounds_of.run(pergola.close())
    return _result(loads, recalls, seconds)


def _values(name: str, count: int) -> list[int]:
    """What the field must be, for each question: each value in its turn."""
    many = int(name.lstrip("bandtg"))
    return [number * 37 % many for number in range(count)]


def _question(pergola: Pergola, name: str) -> Callable[[Any, int], Any]:
    def question(vector: Any, value: int) -> Any:
        filter = {"must": [{"key": name, "match": {"number_value": value}}]}
        return pergola.question(vector, k=_K, with_payload=False, filter=filter)

    return question


def _recalls(rounds_of: Rounds, pergola: Pergola, raw: _Iterative, data: Data, name: str) -> dict[str, float]:
    queries, values = data.queries(_PROBES), _values(name, _PROBES)
    field = data.field(name)
    right = [data.nearest(queries[place : place + 1], _K, field == value)[0] for place, value in enumerate(values)]
    ask = _question(pergola, name)
    mine = rounds_of.run(pergola.found([ask(*both) for both in zip(queries, values, strict=True)]))
    theirs = rounds_of.run(raw.found(name, queries, values))
    return {_PERGOLA: recall(mine, right), _RAW: recall(theirs, right)}


def _asks(pergola: Pergola, raw: _Iterative, data: Data, name: str) -> dict[str, Ask]:
    queries = data.queries(500)
    values, ask = _values(name, len(queries)), _question(pergola, name)
    questions = [ask(*both) for both in zip(queries, values, strict=True)]
    return {_PERGOLA: pergola.asking(questions), _RAW: raw.asking(name, queries, values)}


def _result(loads: dict[str, dict[str, list[Load]]], recalls: dict[str, dict[str, float]], seconds: float) -> Result:
    series, bars = [], []
    for name, found in loads.items():
        kind = name.rstrip("0123456789")
        title = f"{100 / int(name[len(kind) :]):g}% {_TITLES[kind]}"
        rates = {}
        for who, samples in found.items():
            rates[who] = median(samples, lambda one: one.per_second)
            series.append(Series(who, title, "per second", [one.per_second for one in samples]))
            series.append(Series(who, f"{title}: recall", "of 1", [recalls[name][who]]))
        both = f"recall {recalls[name][_PERGOLA]:.3f} against {recalls[name][_RAW]:.3f}"
        bars.append(Bar(f"{title} ({both})", rates[_PERGOLA] / rates[_RAW], 1.0))
    worst = min(bars, key=lambda bar: bar.ratio)
    return Result(
        name="filtered",
        ratio=worst.ratio,
        what=f"filtered QueryPoints against pgvector's iterative scan, questions/s at {CALLERS} callers; "
        f"the worst of four: {worst.what}",
        series=series,
        settings={"points": _COUNT, "k": _K, "seconds a round": seconds},
        bars=bars,
    )
