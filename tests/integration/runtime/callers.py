"""A callers file for tests, and the keys that go with it."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

KEYS = {name: f"key-of-{name}-0123456789abcdef" for name in ("reader", "writer", "admin", "service", "two")}

ENTRIES: list[dict[str, Any]] = [
    {"name": "reader", "tenants": ["acme"], "roles": ["reader"]},
    {"name": "writer", "tenants": ["acme"], "roles": ["writer"]},
    {"name": "admin", "tenants": ["acme"], "roles": ["admin"]},
    {"name": "two", "tenants": ["acme", "globex"], "roles": ["reader"]},
    {"name": "service", "tenants": "*", "roles": ["service"]},
]


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def write(path: Path, entries: list[dict[str, Any]] | None = None) -> Path:
    """Write the file in one move, as an operator's tool would."""
    filled = [
        entry if "key_sha256" in entry or "subjects" in entry else entry | {"key_sha256": hashed(KEYS[entry["name"]])}
        for entry in (ENTRIES if entries is None else entries)
    ]
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"callers": filled}))
    os.replace(fresh, path)  # noqa: PTH105 - the same on every platform
    return path


def bearer(name: str, **more: str) -> tuple[tuple[str, str], ...]:
    """Metadata of a call by `name`; `tenant=…` names the tenant."""
    entries = [("authorization", f"Bearer {KEYS[name]}")]
    if "tenant" in more:
        entries.append(("x-pergola-tenant", more["tenant"]))
    return tuple(entries)
