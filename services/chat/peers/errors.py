"""What a failed call to a peer means to chat."""

import grpc

from services.runtime import call
from services.runtime.errors import PeerUnavailable, PergolaError, from_rpc

_OUR_OWN_DEADLINE = 0.1


def translated(error: grpc.RpcError, peer: str, seconds: float) -> PergolaError:
    """The error for `error` of a call to `peer` that was given `seconds`.

    When the time chat gave is over and the caller's is not, the peer is the one who does not answer.
    """
    left = call.remaining()
    timed_out = isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    if timed_out and (left is None or left > _OUR_OWN_DEADLINE):
        return PeerUnavailable(f"the {peer} service did not answer within {seconds:g} s", metadata={"peer": peer})
    return from_rpc(error, peer)
