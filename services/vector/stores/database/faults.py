"""What PostgreSQL's errors mean to a caller. The driver's text never gets out."""

from types import TracebackType
from typing import Final

import asyncpg

from services.runtime.errors import (
    Aborted,
    CollectionNotFound,
    DeadlineExceeded,
    InvalidVector,
    PergolaError,
    StoreUnavailable,
)

_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
_LOST_RACE = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    # Two writers made the same point; where an id is taken by rule, the statement says ON CONFLICT.
    asyncpg.UniqueViolationError,
)
_FULL = (asyncpg.InsufficientResourcesError, asyncpg.ReadOnlySQLTransactionError)
_REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)


class _Translated:
    """One for all: it keeps nothing."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and (meaning := _meaning(error)) is not None:
            raise meaning from error


_TRANSLATED: Final = _Translated()


def translated() -> _Translated:
    """Turns the driver's errors into the service's. TimeoutError passes: its meaning shows on the connection."""
    return _TRANSLATED


def _meaning(error: Exception) -> PergolaError | None:
    """What an error says to a caller; None: nothing but what it is."""
    match error:
        case TimeoutError():
            # An OSError to Python, but not to us.
            return None
        case error if isinstance(error, _AWAY):
            return StoreUnavailable("The database does not answer. Try again.", retry_after=1.0)
        case asyncpg.InterfaceError():
            # Raised for a connection that was lost between two statements; what is wrong with our own use of the
            # driver has the same type, and must not look like an outage.
            if "connection" not in str(error):
                return None
            return StoreUnavailable("The connection to the database was lost. Try again.", retry_after=1.0)
        case asyncpg.InternalClientError():
            # The server was killed, and the driver still believes a statement to be under way.
            if "cannot switch to state" not in str(error):
                return None
            return StoreUnavailable("The connection to the database was lost. Try again.", retry_after=1.0)
        case error if isinstance(error, _REFUSED):
            return StoreUnavailable("The database refuses this service's login; see its log.")
        case error if isinstance(error, _FULL):
            return StoreUnavailable("The database accepts no writes now.", retry_after=30.0)
        case error if isinstance(error, _LOST_RACE):
            return Aborted("Another change came first. Repeat the call.")
        case asyncpg.QueryCanceledError():
            return DeadlineExceeded("The database ended the statement. Ask for less, or try again.")
        case asyncpg.UndefinedTableError():
            # The tables of a collection that was deleted after the catalogue was read.
            return CollectionNotFound("The collection was deleted.") if '"points.' in str(error) else None
        case asyncpg.NumericValueOutOfRangeError():
            return InvalidVector("A number of the vector is too large for the collection's storage type.")
        case _:
            return None
