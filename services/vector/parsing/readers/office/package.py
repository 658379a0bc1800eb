"""What the Office Open XML formats share: parts that refer to parts, and the document's properties."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.vector.parsing.model import Limits, ParseFailed, Reason
from services.vector.parsing.reading.archive import Archive, resolve
from services.vector.parsing.reading.builder import Builder
from services.vector.parsing.reading.markup import attribute, read_xml


@dataclass(frozen=True, slots=True)
class Relation:
    """From one part to another."""

    kind: str
    """The last word of its type's address: `styles`, `slide`, `officeDocument`."""
    target: str
    """The part's name in the archive."""


class _Relations:
    def __init__(self, base: str) -> None:
        self.found: dict[str, Relation] = {}
        self._base = base

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        # What lies outside of the file is never fetched.
        if name == "Relationship" and attributes.get("TargetMode", "").lower() != "external":
            kind = attributes.get("Type", "").rpartition("/")[2]
            self.found[attributes.get("Id", "")] = Relation(kind, resolve(self._base, attributes.get("Target", "")))

    def end(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


class _Properties:
    def __init__(self) -> None:
        self.title = ""
        self._inside = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:  # noqa: ARG002 - one signature for all events
        self._inside = name == "title"

    def end(self, name: str) -> None:
        if name == "title":
            self._inside = False

    def text(self, text: str) -> None:
        if self._inside:
            self.title += text


class Package:
    """An Office file."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.archive = Archive(data, limits)
        self._limits = limits
        self._root = self.relations("")

    def relations(self, part: str) -> dict[str, Relation]:
        """By their ids; a part without any has none."""
        folder, _, file = part.rpartition("/")
        name = f"{folder}/_rels/{file}.rels".lstrip("/")
        if name not in self.archive.names:
            return {}
        events = _Relations(part)
        read_xml(self.archive.pieces(name), events, self._limits)
        return events.found

    def main(self) -> str:
        """The part that is the document. Raises ParseFailed (MALFORMED)."""
        for relation in self._root.values():
            if relation.kind == "officeDocument":
                return relation.target
        raise ParseFailed(Reason.MALFORMED, "It names no main part; is the file cut off?")

    def name(self, builder: Builder) -> None:
        """Takes the title from the properties, if there are any."""
        for relation in self._root.values():
            if relation.kind == "core-properties" and relation.target in self.archive.names:
                properties = _Properties()
                read_xml(self.archive.pieces(relation.target), properties, self._limits)
                builder.name(properties.title)


def related(relations: Mapping[str, Relation], kind: str, package: Package) -> str:
    """The part of one kind that a part has at most once; empty: it has none."""
    return next(
        (one.target for one in relations.values() if one.kind == kind and one.target in package.archive.names), ""
    )


def value(attributes: Mapping[str, str]) -> str:
    """Of the attribute `val`, in which Office keeps most things."""
    return attribute(attributes, "val")
