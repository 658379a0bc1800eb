"""What callers may do."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a caller may do. A writer reads, an admin writes; a service reads, writes, and acts for its tenants."""

    READER = "reader"
    WRITER = "writer"
    ADMIN = "admin"
    SERVICE = "service"


_GRANTED: Final = {
    Role.READER: {Role.READER},
    Role.WRITER: {Role.READER, Role.WRITER},
    Role.ADMIN: {Role.READER, Role.WRITER, Role.ADMIN},
    Role.SERVICE: {Role.READER, Role.WRITER, Role.SERVICE},
}


def granted(roles: frozenset[Role]) -> frozenset[Role]:
    """Every role that `roles` include."""
    return frozenset(role for one in roles for role in _GRANTED[one])
