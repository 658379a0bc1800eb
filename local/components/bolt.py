"""Whether a server on this machine speaks Bolt."""

import socket
from typing import Final

from local.system.ports import LOOPBACK

# A Bolt handshake: the preamble, then four proposals of versions (5.4 down to 5.0, 4.4 down to 4.2, 4.1, 3.0).
_HANDSHAKE: Final = bytes.fromhex("6060b017 00040405 00020404 00000104 00000003")


def answers(port: int) -> bool:
    """One handshake. Raises OSError when nobody listens."""
    with socket.create_connection((LOOPBACK, port), timeout=2.0) as bolt:
        bolt.sendall(_HANDSHAKE)
        return len(bolt.recv(4)) == 4
