"""Ways through the graph between the contract and the domain."""

import hashlib

import msgspec

from pergola.graph.v1 import reading_pb2
from services.graph.handlers import messages
from services.graph.handlers.values import parameters_from
from services.graph.model import RESERVED, Capabilities, RelationKey
from services.graph.reading.along import Along, Direction, Step
from services.graph.reading.traversal import Summary, Visit
from services.runtime.errors import ErrorFields, Violation
from services.runtime.server.validation import invalid


def along(message: reading_pb2.Along) -> Along:
    """Raises InvalidArgument for properties that no entity can have."""
    properties = parameters_from(message.properties, "along.properties")
    found = [
        Violation(f"along.properties.{name}", problem)
        for name, value in properties.items()
        if (problem := _problem(name, value))
    ]
    if found:
        raise invalid(found[:20])
    return Along(
        direction=Direction(message.direction or Direction.BOTH),
        relation_types=list(message.relation_types),
        entity_types=list(message.entity_types),
        properties=properties,
        min_weight=message.min_weight if message.HasField("min_weight") else None,
    )


def _problem(name: str, value: object) -> str:
    if name in RESERVED or name.startswith("_"):
        return "is no property: the names that entities have themselves are asked for by other fields"
    if value is None or isinstance(value, dict):
        return "must be a text, a number, a boolean, or a list of one of these"
    return ""


def fingerprint(message: reading_pb2.Along) -> str:
    """The same for the same filter; for page tokens."""
    return hashlib.blake2b(message.SerializeToString(deterministic=True), digest_size=16).hexdigest()


def last_step(step: Step) -> str:
    """A step as a page token holds it."""
    return msgspec.json.encode((step.origin, *step.relation, step.weight)).decode()


def step_after(text: str) -> Step:
    """The step of a token that `paging` has accepted."""
    origin, source, target, type_, weight = msgspec.json.decode(text, type=tuple[str, str, str, str, float])
    return Step(origin, RelationKey(source, target, type_), weight)


def traverse_response(event: Visit | Summary) -> reading_pb2.TraverseResponse:
    if isinstance(event, Visit):
        visit = reading_pb2.Visit(
            entity=messages.entity(event.entity),
            depth=event.depth,
            relation=messages.relation(event.relation) if event.relation else None,
        )
        return reading_pb2.TraverseResponse(visit=visit)
    return reading_pb2.TraverseResponse(
        done=reading_pb2.TraverseSummary(
            entity_count=event.entity_count, truncated=event.truncated, missing=event.missing
        )
    )


def traverse_error(fields: ErrorFields) -> reading_pb2.TraverseResponse:
    return reading_pb2.TraverseResponse(
        error=reading_pb2.GraphError(
            code=fields.code,
            status=fields.status,
            reason=fields.reason,
            message=fields.message,
            request_id=fields.request_id,
        )
    )


def told(found: Capabilities) -> str:
    """What the store is and can do, for people."""
    can = {
        "a database a tenant": found.databases,
        "read-only logins": found.read_only_logins,
        "read-only sessions": found.read_sessions,
        "kinds as labels": found.kinds_as_labels,
    }
    return f"{found.version}: {', '.join(name for name, there in can.items() if there) or 'one database'}"
