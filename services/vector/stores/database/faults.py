"""What PostgreSQL's errors mean to a caller. The driver's text never gets out."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from services.runtime.errors import Aborted, CollectionNotFound, DeadlineExceeded, InvalidVector, StoreUnavailable

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


@contextmanager
def translated() -> Iterator[None]:
    """Turns the driver's errors into the service's. TimeoutError passes: its meaning shows on the connection."""
    try:
        yield
    except TimeoutError:
        # An OSError to Python, but not to us.
        raise
    except _AWAY as error:
        raise StoreUnavailable("The database does not answer. Try again.", retry_after=1.0) from error
    except asyncpg.InterfaceError as error:
        # Raised for a connection that was lost between two statements; what is wrong with our own use of the driver
        # has the same type, and must not look like an outage.
        if "connection" not in str(error) and "pool is closing" not in str(error):
            raise
        raise StoreUnavailable("The connection to the database was lost. Try again.", retry_after=1.0) from error
    except asyncpg.InternalClientError as error:
        # The server was killed, and the driver still believes a statement to be under way: "cannot switch to state …".
        if "cannot switch to state" not in str(error):
            raise
        raise StoreUnavailable("The connection to the database was lost. Try again.", retry_after=1.0) from error
    except _REFUSED as error:
        raise StoreUnavailable("The database refuses this service's login; see its log.") from error
    except _FULL as error:
        raise StoreUnavailable("The database accepts no writes now.", retry_after=30.0) from error
    except _LOST_RACE as error:
        raise Aborted("Another change came first. Repeat the call.") from error
    except asyncpg.QueryCanceledError as error:
        raise DeadlineExceeded("The database ended the statement. Ask for less, or try again.") from error
    except asyncpg.UndefinedTableError as error:
        if '"points.' not in str(error):
            raise
        # The tables of a collection that was deleted after the catalogue was read.
        raise CollectionNotFound("The collection was deleted.") from error
    except asyncpg.NumericValueOutOfRangeError as error:
        raise InvalidVector("A number of the vector is too large for the collection's storage type.") from error
