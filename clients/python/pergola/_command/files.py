"""Files and folders as documents."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pergola._client import Document

_TEXTS: Final = frozenset({".md", ".markdown", ".txt"})
_FILES: Final = frozenset((
    ".pdf", ".docx", ".pptx", ".xlsx", ".html", ".htm", ".xhtml", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".epub",
    ".eml",
))  # fmt: skip
_MAX_BYTES: Final = 8 * 1024 * 1024
_MAX_ID_BYTES: Final = 512

Problem = Callable[[str, str], None]
"""Told of each path that cannot be taken, and why; the rest goes on."""


@dataclass(frozen=True)
class Upload:
    """A file that the service has to parse; `id` as of a document."""

    id: str
    path: Path


def documents(paths: Iterable[str], problem: Problem) -> Iterator[Document | Upload]:
    """A document or an upload for each file; texts are read when it is their turn.

    A folder is walked for the endings that are known, without what is hidden; a file named itself is taken whatever its
    ending, as text unless the ending says more. The id is its path from here, or its whole path when it lies elsewhere.
    """
    seen: set[str] = set()
    for file in _files(paths, problem):
        document = _document(file, problem)
        if document is not None and document.id not in seen:
            seen.add(document.id)
            yield document


def _files(paths: Iterable[str], problem: Problem) -> Iterator[Path]:
    for text in paths:
        path = Path(text)
        if not text:
            problem(text, "the path is empty")
        elif path.is_dir():
            found = list(_walk(path, problem))
            if not found:
                problem(text, "no .md, .txt, .pdf or other file of a known ending is in this folder")
            yield from found
        elif path.exists():
            yield path
        else:
            problem(text, "there is no such file or folder")


def _walk(folder: Path, problem: Problem) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        problem(str(error.filename), f"cannot be read ({error.strerror})")

    # Links to folders are not followed: they may lead in circles.
    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if Path(name).suffix.lower() in _TEXTS | _FILES and not name.startswith("."):
                yield Path(parent) / name


def _document(path: Path, problem: Problem) -> Document | Upload | None:
    name = str(path)
    text = ""
    upload = path.suffix.lower() in _FILES
    try:
        if not path.is_file():
            # A pipe would be waited for without end.
            problem(name, "is neither a file nor a folder")
            return None
        size = path.stat().st_size
        if not upload:
            if size > _MAX_BYTES:
                problem(name, "is larger than the 8 MiB a text may have")
                return None
            text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem(name, f"is not UTF-8 text (byte {error.start})")
        return None
    except OSError as error:
        problem(name, f"cannot be read ({error.strerror})")
        return None
    if not size or (not upload and not text.strip()):
        problem(name, "is empty")
        return None
    document_id = _id(path)
    try:
        too_long = len(document_id.encode()) > _MAX_ID_BYTES
    except UnicodeEncodeError:
        problem(name, "its name is not UTF-8")
        return None
    if too_long:
        problem(name, f"its path is longer than {_MAX_ID_BYTES} bytes")
        return None
    return Upload(document_id, path) if upload else Document(id=document_id, text=text)


def _id(path: Path) -> str:
    # Not `resolve`: a link keeps the name by which it was asked for.
    whole = Path(os.path.normpath(Path.cwd() / path))
    here = Path.cwd()
    return (whole.relative_to(here) if whole.is_relative_to(here) else whole).as_posix()
