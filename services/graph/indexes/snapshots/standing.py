"""What a snapshot is about: whose index, by which code, and how far it is with each of its collections."""

import hashlib
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from services.graph import extraction
from services.graph.indexes import reading
from services.graph.model import Cursor
from services.graph.passages import index, passage
from services.graph.points import CollectionInfo
from services.runtime import sentences


class IndexKey(NamedTuple):
    """Which index: tenants share nothing, and vectors of two models do not compare."""

    tenant: str
    model: str
    dimension: int


@dataclass(frozen=True, slots=True)
class Given:
    """What callers said by hand of a collection's passages, as far as the index has it."""

    names: Mapping[str, Mapping[str, str]]
    """By passage and key, as it was written."""
    merges: Mapping[str, str]
    changed: Sequence[str]
    """Passages of which the index may have something else."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an index is with a collection."""

    info: CollectionInfo
    cursor: Cursor
    """Everything up to here is in the index, and perhaps some of what came behind."""
    given: Given


@dataclass(frozen=True, slots=True)
class Head:
    """What stands in a snapshot beside the arrays."""

    code: str
    """`code()` of the process that wrote it."""
    key: IndexKey
    collections: Sequence[Standing]


@cache
def code() -> str:
    """Stands for all that decides what an index has of a passage: the sources that read passages and lay out the
    arrays, and the Unicode tables they use. What was written by other code is not read."""
    found = hashlib.blake2b(f"{sys.byteorder} {unicodedata.unidata_version} {sys.version_info[:2]}".encode())
    files = [Path(str(one.__file__)) for one in (passage, reading, sentences)]
    for package in (extraction, index):
        files += Path(str(package.__file__)).parent.glob("*.py")
    for one in sorted(files):
        found.update(one.name.encode() + b"\0" + one.read_bytes())
    return found.hexdigest()[:32]
