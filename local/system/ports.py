"""Ports on loopback: which are free, which are taken."""

import random
import socket

LOOPBACK = "127.0.0.1"

# Below the ranges from which Linux (32768 on) and macOS (49152 on) take the ports of outgoing connections: a port from
# there can be lost to any client between the moment it is chosen and the moment a server listens on it.
_LOWEST, _HIGHEST = 15_000, 32_000


def is_taken(port: int) -> bool:
    """Whether somebody listens on 127.0.0.1:`port`, or on all addresses with that port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return True
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def choose(avoid: set[int]) -> int:
    """A port that is free now and not in `avoid`."""
    source = random.SystemRandom()
    while True:
        port = source.randrange(_LOWEST, _HIGHEST)
        if port not in avoid and not is_taken(port):
            return port


def accepts(port: int, seconds: float = 1.0) -> bool:
    """Whether a TCP connection to 127.0.0.1:`port` is accepted."""
    with socket.socket() as probe:
        probe.settimeout(seconds)
        return probe.connect_ex((LOOPBACK, port)) == 0
