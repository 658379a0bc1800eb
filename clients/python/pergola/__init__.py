"""The Python client of Pergola.

    from pergola import Pergola

    with Pergola() as client:
        for event in client.ask("What does the gateway check?"):
            print(event.content, end="")

`Pergola` is the short way in; `channel` and `aio_channel` give a gRPC channel for the generated stubs
(`pergola.chat.v1`, `pergola.vector.v1`, `pergola.graph.v1`, `pergola.cache.v1`), which can do everything.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pergola._channels import aio_channel, channel
    from pergola._client import Document, Job, Pergola
    from pergola._errors import (
        AlreadyExists,
        DeadlineExceeded,
        FailedPrecondition,
        InvalidArgument,
        NotFound,
        NotReachable,
        PergolaError,
        PermissionDenied,
        ResourceExhausted,
        Unauthenticated,
        Unavailable,
        Violation,
        translated,
    )
    from pergola._passages import Passage, Passages
    from pergola._status import Status

__all__ = [
    "AlreadyExists",
    "DeadlineExceeded",
    "Document",
    "FailedPrecondition",
    "InvalidArgument",
    "Job",
    "NotFound",
    "NotReachable",
    "Passage",
    "Passages",
    "Pergola",
    "PergolaError",
    "PermissionDenied",
    "ResourceExhausted",
    "Status",
    "Unauthenticated",
    "Unavailable",
    "Violation",
    "aio_channel",
    "channel",
    "translated",
]

_HOMES = {
    "_channels": ("aio_channel", "channel"),
    "_client": ("Document", "Job", "Pergola"),
    "_passages": ("Passage", "Passages"),
    "_status": ("Status",),
}


def __getattr__(name: str) -> Any:
    # Imported when first used: whoever only wants the stubs of one service does not pay for the client and the others.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "_errors")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
