"""What the driver's errors mean. Of their text nothing leaves this module, except a store's remark on a statement."""

import logging
import re
from collections.abc import Callable
from typing import Final

from neo4j.exceptions import (
    AuthError,
    ClientError,
    ConstraintError,
    DriverError,
    Forbidden,
    Neo4jError,
    ResultConsumedError,
    TransactionError,
    TransientError,
)

from services.runtime import call
from services.runtime.errors import (
    Aborted,
    CypherReadOnly,
    DeadlineExceeded,
    InvalidCypher,
    PergolaError,
    ResourceExhausted,
    StoreUnavailable,
)

log = logging.getLogger(__name__)

NO_DATABASE: Final = "Neo.ClientError.Database.DatabaseNotFound"
_WENT_AWAY: Final = "Neo.ClientError.Statement.EntityNotFound"
_READS_ONLY: Final = "Neo.ClientError.Statement.AccessMode"
_SOURCE: Final = "Neo.ClientError.Statement.ExternalResourceFailed"
_OUT_OF_MEMORY: Final = ("MemoryPoolOutOfMemoryError", "TransactionOutOfMemoryError")
_TIMED_OUT: Final = frozenset(
    {
        "Neo.ClientError.Transaction.TransactionTimedOut",
        "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration",
        "Neo.ClientError.Transaction.Terminated",
        "Neo.TransientError.Transaction.Terminated",
    }
)
_PARTS_OF_CODE: Final = 4
_OF_THE_MOMENT: Final = frozenset({"Transaction", "General", "Request", "Database", "Cluster"})
"""Categories of codes that tell how a server, a database or a transaction fares, not what was asked."""
_KINDS: Final = {
    "SyntaxError": "the query does not parse as one statement of Cypher",
    "SemanticError": "the query uses a name that it does not define, or a function in a way that does not fit",
    "ParameterMissing": "the query uses a $parameter that was not given",
    "ArithmeticError": "the query divides by zero or leaves the range of numbers",
    "ArgumentError": "the query gives a function an argument that does not fit",
    "TypeError": "the query uses a value of a type that does not fit",
    "TransactionNotFound": "the query handles transactions; RunQuery runs one statement in one of its own",
}
"""What the last part of a code means, for people."""
_CONCEALED: Final = "Check the server log"
"""Part of what ArcadeDB says in production mode instead of its reason."""
_MAX_REMARK: Final = 300


def is_read_only(error: Neo4jError) -> bool:
    """Whether a write was refused because the session, or its login, may only read."""
    return isinstance(error, Forbidden) or error.code == _READS_ONLY


def is_closed_source(error: Neo4jError) -> bool:
    """Whether LOAD CSV was refused its source by the server's configuration, not by the source."""
    closed = "allow_csv_import_from_file_urls' is false", "cypher_ip_blocklist"
    return error.code == _SOURCE and any(setting in (error.message or "") for setting in closed)


def is_of_statement(error: Neo4jError) -> bool:
    """Whether the server refused what it was asked, as it always will. Otherwise it is starting, stopping or has too
    much to do, lacks the database, refuses the login: which says nothing of what it can do."""
    parts = (error.code or "").split(".")
    refused = len(parts) == _PARTS_OF_CODE and parts[1] == "ClientError" and parts[2] not in _OF_THE_MOMENT
    return refused and not error.is_retryable() and not is_login(error)


def is_login(error: Neo4jError) -> bool:
    """Whether the configured login is what is wrong."""
    return isinstance(error, AuthError)


def ran_out_of_time(error: Neo4jError) -> bool:
    """Whether the server ended the transaction because of its time."""
    return error.code in _TIMED_OUT


def meets_another(error: BaseException) -> bool:
    """Whether a transaction failed only because another one touched the same things: nothing of it was written, and
    it may be repeated as a whole. ArcadeDB tells two concurrent MERGEs of one key by a ConstraintError, and a record
    that went while it was being read by an error of its own; the driver itself does not count these as such."""
    return isinstance(error, TransientError | ConstraintError) or (
        isinstance(error, Neo4jError) and error.code == _WENT_AWAY
    )


def lost_connection(error: BaseException) -> bool:
    """Whether the connection broke, or none was had."""
    if isinstance(error, TransactionError | ResultConsumedError):
        return False
    return isinstance(error, DriverError | OSError)


def unavailable(error: BaseException) -> PergolaError:
    """A failed transaction of our own as one of the tree; DEADLINE_EXCEEDED when the call's time is what ran out."""
    left = call.remaining()
    if isinstance(error, TimeoutError) and left is not None and left < 0.05:
        return DeadlineExceeded("the deadline passed while the graph store was working")
    if isinstance(error, AuthError):
        log.error("the graph store refused the configured login; check store_user and store_password")
    elif isinstance(error, Neo4jError):
        log.warning("the graph store failed: %s", error.code)
    return StoreUnavailable("the graph store does not answer now; try again")


def of_statement(error: Neo4jError, amend: Callable[[str], str] = lambda remark: remark) -> PergolaError:
    """What the store said to a caller's own statement; `amend` makes its remark fit what the caller wrote."""
    code = error.code or ""
    if code in _TIMED_OUT:
        return of_timeout()
    if isinstance(error, Forbidden) or code.startswith("Neo.ClientError.Security."):
        return CypherReadOnly("the query writes, or reaches beyond this tenant's graph; RunQuery only reads")
    if code == _READS_ONLY:
        return CypherReadOnly("the query writes; RunQuery only reads")
    if code == _SOURCE:
        return CypherReadOnly("the query reads a file or an address; RunQuery reads this tenant's graph only")
    remark = clean(amend(error.message or ""))
    if code.endswith(_OUT_OF_MEMORY) or "heap budget" in remark:
        return ResourceExhausted("the query needs more memory than the graph store gives to one; add a LIMIT")
    if meets_another(error):
        return Aborted("what the query reads was being changed meanwhile; run it again")
    if isinstance(error, ClientError) or code.startswith(("Neo.ClientError.", "Neo.DatabaseError.")):
        told = code.rpartition(".")[2]
        if told == "SyntaxError" and "not defined" in remark:
            told = "SemanticError"
        kind = _KINDS.get(told, "the graph store can't run the query: something it names is unknown")
        return InvalidCypher(f"{kind}; the store says: {remark}" if remark else kind)
    return unavailable(error)


def of_timeout() -> PergolaError:
    """A caller's statement took longer than it may."""
    return DeadlineExceeded("the query was still running at its deadline and was ended; ask for less")


def clean(message: str) -> str:
    """The first line of a store's remark, without what only its operator can use: settings, paths, addresses."""
    line = message.strip().splitlines()[0] if message.strip() else ""
    if _CONCEALED in line:
        return ""
    line = re.sub(r" ?allowed by the setting `[^`]*`.*", "", line)
    line = re.sub(r"\b[a-z]+(?:\.\w+)+(?:Exception|Error)\b:? ?", "", line)
    line = re.sub(r"(?<!\w)/(?:[\w.+-]+/)+[\w.+-]*", "…", line)
    line = re.sub(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "…", line)
    return line if len(line) <= _MAX_REMARK else line[: _MAX_REMARK - 1] + "…"
