"""What the codes of a graph store's errors mean."""

import pytest
from neo4j.exceptions import Neo4jError

from services.graph.stores import failures


def of_code(code: str) -> Neo4jError:
    return Neo4jError._hydrate_neo4j(code=code, message="a remark")


@pytest.mark.parametrize(
    "code",
    [
        "Neo.ClientError.Statement.SyntaxError",
        "Neo.ClientError.Statement.AccessMode",
        "Neo.ClientError.Statement.ExternalResourceFailed",
        "Neo.ClientError.Procedure.ProcedureNotFound",
        "Neo.ClientError.Security.Forbidden",
        "Memgraph.ClientError.MemgraphError.MemgraphError",
    ],
)
def test_refusals_tell_what_a_server_can_do(code: str) -> None:
    assert failures.is_of_statement(of_code(code))


@pytest.mark.parametrize(
    "code",
    [
        "Neo.ClientError.Transaction.TransactionTimedOut",
        "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration",
        "Neo.ClientError.Transaction.Terminated",
        "Neo.TransientError.Transaction.Terminated",
        "Neo.TransientError.Transaction.LockClientStopped",
        "Neo.TransientError.General.MemoryPoolOutOfMemoryError",
        "Neo.TransientError.Database.DatabaseUnavailable",
        "Neo.DatabaseError.General.UnknownError",
        "Neo.ClientError.Database.DatabaseNotFound",
        "Neo.ClientError.Security.Unauthorized",
        "Neo.ClientError.Security.AuthorizationExpired",
        "",
    ],
)
def test_outages_and_timeouts_tell_nothing(code: str) -> None:
    assert not failures.is_of_statement(of_code(code))
