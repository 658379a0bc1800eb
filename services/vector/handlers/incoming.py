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
    read = []
    for place, one in enumerate(asked):
        id, text = one.id, one.text
        # Names of fields are made only where something may be wrong with them: there are a thousand points.
        if "\0" in id or "\0" in text:
            messages.no_nul(id, f"points[{place}].id", wrong)
            messages.no_nul(text, f"points[{place}].text", wrong)
        vector = messages.vector(one.vector, f"points[{place}].vector") if one.HasField("vector") else None
        payload = messages.fields(one.payload, f"points[{place}].payload") if one.HasField("payload") else {}
        read.append(NewPoint(id, text, vector, payload))
    refuse(wrong)
    return read


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
