"""JSON values between the contract and the domain."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf import struct_pb2

from services.runtime.errors import Violation
from services.runtime.server.validation import invalid

_EXACT: Final = 2.0**53
_MANY: Final = 20
"""As many violations as an answer carries."""


def parameters_from(struct: struct_pb2.Struct, path: str) -> dict[str, Any]:
    """Values for a query: whole numbers as int, all others as they are.

    Raises InvalidArgument for numbers a double may have rounded, by name.
    """
    found: list[Violation] = []
    values = {name: _value(value, f"{path}.{name}", found) for name, value in struct.fields.items()}
    if found:
        raise invalid(found[:_MANY])
    return values


def _value(value: struct_pb2.Value, path: str, found: list[Violation]) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = value.number_value
        # Also false for what is not a number at all.
        if not abs(number) < _EXACT:
            found.append(Violation(path, "integers of 2^53 and beyond lose digits in JSON; send them as text"))
            return None
        return int(number) if number.is_integer() else number
    if kind == "struct_value":
        return {name: _value(one, f"{path}.{name}", found) for name, one in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_value(one, f"{path}[{index}]", found) for index, one in enumerate(value.list_value.values)]
    if kind == "string_value":
        return value.string_value
    return value.bool_value if kind == "bool_value" else None


def list_value(values: Sequence[Any]) -> struct_pb2.ListValue:
    """A row of JSON values. Built by hand: `ListValue.extend` checks every type twice."""
    return struct_pb2.ListValue(values=_values(values))


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    return struct_pb2.Struct(fields={name: _to(value) for name, value in values.items()})


def _values(values: Sequence[Any]) -> Iterator[struct_pb2.Value]:
    return (_to(value) for value in values)


def _to(value: Any) -> struct_pb2.Value:
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, dict):
        return struct_pb2.Value(struct_value=struct(value))
    return struct_pb2.Value(list_value=list_value(value))
