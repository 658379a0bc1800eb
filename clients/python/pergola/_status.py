"""Whether a gateway is there, and which parts behind it are."""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pergola._address import Address
from pergola._errors import NotReachable, PergolaError


@dataclass(frozen=True, slots=True)
class Status:
    """What the gateway says of the suite behind it."""

    url: str
    ready: bool
    """Whether every part is there."""
    parts: Mapping[str, str]
    """Each part behind the gateway: `ready` or `missing`."""


def ask(address: Address, timeout: float, ca_file: str | None) -> Status:
    """GET /readyz. Raises NotReachable when nothing answers, PergolaError when what answers is no gateway."""
    connection: http.client.HTTPConnection
    if address.tls:
        context = ssl.create_default_context(cafile=ca_file)
        connection = http.client.HTTPSConnection(address.host, address.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout)
    try:
        connection.request("GET", "/readyz", headers={"accept": "application/json"})
        reply = connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        raise NotReachable(f"nothing answers at {address.url}", code="UNAVAILABLE") from None
    finally:
        connection.close()
    try:
        content: dict[str, Any] = json.loads(reply)
        return Status(address.url, content["status"] == "ready", dict(content["parts"]))
    except (ValueError, KeyError, TypeError):
        raise PergolaError(f"what answers at {address.url} is no gateway of Pergola", code="UNKNOWN") from None
