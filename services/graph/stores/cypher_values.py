"""What Cypher returns, as JSON values: what JSON does not have becomes an object with `$type`."""

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import neo4j.graph
import neo4j.spatial
import neo4j.time

_EXACT: Final = 2**53

Json = Any
"""None, bool, int within ±2^53, finite float, str, list and dict of these."""


def to_json(value: Any) -> Json:
    """One cell. A map that itself has a key `$type` is wrapped as `{"$type": "Map", "value": …}`."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -_EXACT <= value <= _EXACT else {"$type": "Integer", "value": str(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$type": "Float", "value": _infinite(value)}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        plain = properties(value)
        return {"$type": "Map", "value": plain} if "$type" in plain else plain
    return _typed(value)


def properties(values: Mapping[str, Any]) -> dict[str, Json]:
    return {str(name): to_json(value) for name, value in values.items()}


def row(cells: Sequence[Any]) -> list[Json]:
    return [to_json(cell) for cell in cells]


def plan_text(plan: Mapping[str, Any] | None) -> str:
    """A plan as the store writes it, or its operators, a line each, inner ones indented."""
    if plan is None:
        return ""
    written = plan.get("args", {}).get("string-representation")
    return str(written).strip() if written else "\n".join(_operators(plan, 0))


def _operators(plan: Mapping[str, Any], depth: int) -> Iterator[str]:
    details = plan.get("args", {}).get("Details", "")
    yield f"{'  ' * depth}+ {plan['operatorType']} {details}".rstrip()
    for child in plan.get("children", ()):
        yield from _operators(child, depth + 1)


def _typed(value: Any) -> Json:
    if isinstance(value, neo4j.graph.Node):
        return _node(value)
    if isinstance(value, neo4j.graph.Relationship):
        return _relationship(value)
    if isinstance(value, neo4j.graph.Path):
        return {
            "$type": "Path",
            "nodes": [_node(node) for node in value.nodes],
            "relationships": [_relationship(one) for one in value.relationships],
        }
    if isinstance(value, bytes | bytearray):
        return {"$type": "Bytes", "value": base64.b64encode(value).decode()}
    if isinstance(value, neo4j.spatial.Point):
        return {"$type": "Point", "srid": value.srid, "coordinates": [float(number) for number in value]}
    if isinstance(value, neo4j.time.Duration):
        return {"$type": "Duration", "value": value.iso_format()}
    for kind in (neo4j.time.DateTime, neo4j.time.Date, neo4j.time.Time):
        if isinstance(value, kind):
            return {"$type": kind.__name__, "value": value.iso_format()}
    return {"$type": type(value).__name__, "value": str(value)}


def _node(node: neo4j.graph.Node) -> Json:
    return {
        "$type": "Node",
        "element_id": node.element_id,
        "labels": sorted(node.labels),
        "properties": properties(dict(node)),
    }


def _relationship(one: neo4j.graph.Relationship) -> Json:
    start, end = one.nodes
    return {
        "$type": "Relationship",
        "element_id": one.element_id,
        "type": one.type,
        "start": start.element_id if start is not None else "",
        "end": end.element_id if end is not None else "",
        "properties": properties(dict(one)),
    }


def _infinite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
