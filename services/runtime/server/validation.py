"""The rules in the protos (`buf.validate`), checked on every message that comes in."""

from typing import Any

import protovalidate
from google.protobuf.message import Message

from services.runtime.errors import InvalidArgument, Violation

_validator = protovalidate.Validator()


def violations(message: Message, prefix: str = "") -> list[Violation]:
    """Everything about `message` that breaks a rule; empty when it is right.

    For handlers that answer item by item (`Policy(validate=False)`): `prefix` is the item's path, such as `points[3]`.
    """
    found = _validator.collect_violations(message)
    if not found:
        return []
    return [_violation(one.proto, prefix) for one in found]


def check(message: Message) -> None:
    """Raises InvalidArgument with every violation; how many are sent is limited where the status is made."""
    found = _validator.collect_violations(message)
    if found:
        raise invalid([_violation(one.proto, "") for one in found])


def invalid(found: list[Violation]) -> InvalidArgument:
    """The error for `found`, its message naming the first and how many more there are."""
    first = found[0]
    text = f"{first.field}: {first.description}" if first.field else first.description
    if len(found) > 1:
        text += f" (and {len(found) - 1} more)"
    return InvalidArgument(text, violations=found)


def _violation(proto: Any, prefix: str) -> Violation:
    path = _path(proto.field)
    if prefix:
        path = f"{prefix}.{path}" if path else prefix
    return Violation(path, proto.message or f"breaks the rule {proto.rule_id}")


def _path(field: Any) -> str:
    """`messages[2].role` from the elements of a field path."""
    if field is None:
        return ""
    text = ""
    for element in field.elements:
        text += f".{element.field_name}" if text else element.field_name
        subscript = element.subscript
        if subscript is not None:
            value = subscript.value
            text += f'["{value}"]' if isinstance(value, str) else f"[{value}]"
    return text
