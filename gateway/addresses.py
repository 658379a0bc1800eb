"""Addresses as settings write them: `host:port`, `[::1]:port`, several with commas."""

import ipaddress
import re
from dataclasses import dataclass

_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.(?!-)[A-Za-z0-9_-]{1,63})*\.?")


class AddressError(ValueError):
    """Not an address; the message says what one looks like."""


@dataclass(frozen=True, slots=True)
class Address:
    """One host and port; an IPv6 host is kept without brackets."""

    host: str
    port: int

    @property
    def is_ip(self) -> bool:
        """Whether the host is an IP address and needs no resolver."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str, *, any_port: bool = False) -> Address:
    """Reads `host:port`. Port 0, any free one, is taken with `any_port` only.

    Raises AddressError.
    """
    host, separator, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        known = _is_ipv6(host)
    else:
        known = _NAME.fullmatch(host) is not None and len(host) <= 253
    lowest = 0 if any_port else 1
    if not separator or not known or not re.fullmatch(r"[0-9]{1,5}", port) or not lowest <= int(port) <= 65_535:
        raise AddressError(f"{text!r} is not host:port, as in 127.0.0.1:8080, vector.internal:50052 or [::1]:8080")
    return Address(host, int(port))


def parse_list(text: str) -> tuple[Address, ...]:
    """Reads one address or several with commas between them.

    Raises AddressError.
    """
    return tuple(parse(part) for part in text.split(","))


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host
