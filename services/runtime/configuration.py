"""The pages that are made from code: `python -m services.runtime.configuration [--check]`.

docs/configuration.md from the settings classes, and the table of errors in docs/runtime.md from the error tree.
`--check` writes nothing and exits with 1 when a page does not say what the code says.
"""

import argparse
import enum
import importlib
import importlib.util
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from services.runtime.errors.tree import leaves
from services.runtime.settings import Secret, ServiceSettings, Settings, base_type, is_secret, metas

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"

_MODULES: Final = {
    "cache": "services.cache.settings",
    "vector": "services.vector.settings",
    "graph": "services.graph.settings",
    "chat": "services.chat.settings",
    "gateway": "gateway.settings",
    "edge": "gateway.edge.settings",
}

_HEAD: Final = """\
# Configuration

<!-- Written by `python -m services.runtime.configuration` from the settings classes. Change those, not this page. -->

Every process reads its settings from the environment when it starts. A setting `PERGOLA_DRAIN_SECONDS` holds for all
of them; with the name of a process in it, `PERGOLA_VECTOR_DRAIN_SECONDS`, it holds for that one and comes first. Each
name below may be written either way.

- An empty variable counts as unset.
- A **secret** may also be read from a file: the same name with `_FILE` at its end holds the path.
- Lists are separated by commas, mappings are JSON, switches are `true` and `false`.
- A name that a process does not know (with its own prefix), a missing one and a value out of range are refused at the
  start, all at once, each with the reason; the process exits with 2.

What `make run` itself reads (ports, directories, binaries) stands in [operations](operations.md).
"""


def classes() -> Iterator[tuple[str, type[Settings]]]:
    """The name and the settings class of every process that has one."""
    for name, module in _MODULES.items():
        if importlib.util.find_spec(module.rpartition(".")[0]) is None or importlib.util.find_spec(module) is None:
            continue
        found = importlib.import_module(module)
        for value in vars(found).values():
            if isinstance(value, type) and issubclass(value, Settings) and value.__module__ == module:
                yield name, value


def page() -> str:
    """The whole page as Markdown."""
    parts = [_HEAD, "## Every service\n", _table("", ServiceSettings, skip=set())]
    shared = _defaults(ServiceSettings)
    for name, cls in classes():
        own = _defaults(cls).items()
        # A service's table holds what it adds, and what it begins with another default.
        same = {field for field, value in own if issubclass(cls, ServiceSettings) and shared.get(field, cls) == value}
        rows = _table(name, cls, skip=same)
        if rows:
            parts += [f"## {name}\n", rows]
    return "\n".join(parts)


def _defaults(cls: type[Settings]) -> dict[str, Any]:
    return {field.name: _default(field) for field in msgspec.structs.fields(cls)}


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    if field.default_factory in (list, dict, tuple, set, frozenset):
        return ()
    # Any other factory looks at the machine: its description says how, a page cannot say what.
    return msgspec.NODEFAULT if field.default_factory is msgspec.NODEFAULT else None


def _table(service: str, cls: type[Settings], skip: set[str]) -> str:
    hints = typing.get_type_hints(cls, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(cls):
        if field.name in skip:
            continue
        kind = hints[field.name]
        prefix = f"PERGOLA_{service.upper()}_" if service else "PERGOLA_"
        told = _description(kind)
        rows.append(f"| `{prefix}{field.name.upper()}` | {_type(kind)} | {_shown(_default(field))} | {told} |")
    if not rows:
        return ""
    return "\n".join(["| setting | type | default | what it is |", "|---|---|---|---|", *rows, ""])


def _description(kind: Any) -> str:
    return " ".join(meta.description for meta in metas(kind) if meta.description).replace("|", "\\|")


def _type(kind: Any) -> str:
    """The type in words, with its range."""
    base = base_type(kind)
    if is_secret(kind):
        return "secret"
    if typing.get_origin(base) is Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(base))
    origin = typing.get_origin(base) or base
    if isinstance(origin, type) and issubclass(origin, enum.Enum):
        return ", ".join(f"`{choice.value}`" for choice in origin)
    name = _NAMES.get(origin, "JSON")
    return f"{name} {limits}" if (limits := _range(kind)) else name


_NAMES: Final[dict[Any, str]] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "switch",
    Path: "path",
    list: "list",
    tuple: "list",
    set: "list",
    frozenset: "list",
}


def _range(kind: Any) -> str:
    limits = []
    for sign, name in (("≥", "ge"), (">", "gt"), ("≤", "le"), ("<", "lt")):
        limits += [f"{sign} {_number(limit)}" for meta in metas(kind) if (limit := getattr(meta, name)) is not None]
    return ", ".join(limits)


def _number(value: float) -> str:
    """Without an exponent, and without a fraction that says nothing."""
    return str(int(value)) if value == int(value) else f"{value:g}"


def _shown(default: Any) -> str:
    if default is msgspec.NODEFAULT:
        return "**required**"
    if default is None or (isinstance(default, (tuple, list, dict, str, frozenset)) and not default):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, Secret):
        return "set"
    if isinstance(default, enum.Enum):
        return f"`{default.value}`"
    if isinstance(default, float):
        return f"`{_number(default)}`"
    if isinstance(default, (tuple, list, frozenset)):
        return f"`{','.join(str(one) for one in default)}`"
    return f"`{default}`"


def errors_table() -> str:
    """The error tree as Markdown, in the order in which it is drawn."""
    rows = [
        f"| `{leaf.reason}` | {leaf.code.name} | {leaf.http_status} | {' '.join((leaf.__doc__ or '').split())} |"
        for leaf in leaves()
    ]
    return "\n".join(["| reason | gRPC code | HTTP | when |", "|---|---|---|---|", *rows])


def runtime_page(current: str) -> str:
    """docs/runtime.md with the table of errors between its two marks.

    Raises:
        ValueError: the marks are missing.
    """
    before, begin, rest = current.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"docs/runtime.md must hold {_BEGIN} and {_END}")
    return f"{before}{begin}\n\n{errors_table()}\n\n{end}{after}"


_BEGIN: Final = "<!-- The tree as a table, written by `python -m services.runtime.configuration`. -->"
_END: Final = "<!-- End of the table. -->"


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or with `--check` compare them; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.runtime.configuration", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is out of date")
    asked = parser.parse_args(arguments)
    runtime = (DOCS / "runtime.md").read_text(encoding="utf-8")
    stale = []
    for name, wanted in (("configuration.md", page()), ("runtime.md", runtime_page(runtime))):
        file = DOCS / name
        if file.exists() and file.read_text(encoding="utf-8") == wanted:
            continue
        if asked.check:
            stale.append(f"docs/{name}")
        else:
            file.write_text(wanted, encoding="utf-8")
    if stale:
        print(f"out of date: {', '.join(stale)}; run python -m services.runtime.configuration", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
