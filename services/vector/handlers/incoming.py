"""Points as they come in."""

from collections.abc import Iterable, Sequence

from pergola.vector.v1 import point_pb2 as pb
from services.runtime.errors import InvalidArgument, Violation
from services.vector.handlers import messages
from services.vector.points.model import NewPoint


def points(asked: Sequence[pb.NewPoint]) -> list[NewPoint]:
    """Points to be stored.

    Raises InvalidArgument and InvalidVector that name the point and the field.
    """
    wrong: list[Violation] = []
    for place, one in enumerate(asked):
        messages.no_nul(one.id, f"points[{place}].id", wrong)
        messages.no_nul(one.text, f"points[{place}].text", wrong)
    refuse(wrong)
    return [
        NewPoint(
            id=one.id,
            text=one.text,
            vector=messages.vector(one.vector, f"points[{place}].vector") if one.HasField("vector") else None,
            payload=messages.fields(one.payload, f"points[{place}].payload"),
        )
        for place, one in enumerate(asked)
    ]


def ids(asked: Iterable[str]) -> list[str]:
    """Each id once.

    Raises InvalidArgument for one that can't exist.
    """
    return list(dict.fromkeys(texts(asked, "ids")))


def texts(asked: Iterable[str], field: str) -> list[str]:
    """Texts that PostgreSQL can take. Raises InvalidArgument."""
    found = list(asked)
    wrong: list[Violation] = []
    for place, one in enumerate(found):
        messages.no_nul(one, f"{field}[{place}]", wrong)
    refuse(wrong)
    return found


def refuse(wrong: list[Violation]) -> None:
    """Raises InvalidArgument when there is something wrong."""
    if wrong:
        raise InvalidArgument(f"{wrong[0].field}: {wrong[0].description}", violations=wrong)
