"""Which files become documents, and what is said of the others."""

import os
from pathlib import Path

import pytest

from pergola._client import Document
from pergola._command.files import Upload, documents


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def read(*paths: str) -> tuple[dict[str, str], dict[str, str]]:
    """Documents by id, problems by path."""
    problems: dict[str, str] = {}
    taken = list(documents(paths, lambda path, why: problems.__setitem__(path, why)))
    return {one.id: one.text for one in taken if isinstance(one, Document)}, problems


def uploads(*paths: str) -> dict[str, Path]:
    """Files that the service parses, by id."""
    return {one.id: one.path for one in documents(paths, lambda *_: None) if isinstance(one, Upload)}


def test_a_folder_is_walked_for_texts(here: Path) -> None:
    for name in ("a.md", "sub/b.txt", "sub/deep/c.MARKDOWN", "d.py", ".hidden.md", ".git/e.md", "sub/.venv/f.txt"):
        file = here / "docs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    found, problems = read("docs")
    assert found == {
        "docs/a.md": "a.md",
        "docs/sub/b.txt": "sub/b.txt",
        "docs/sub/deep/c.MARKDOWN": "sub/deep/c.MARKDOWN",
    }
    assert problems == {}


def test_a_file_named_itself_is_taken_whatever_its_ending(here: Path) -> None:
    (here / "LICENSE").write_text("free")
    assert read("LICENSE") == ({"LICENSE": "free"}, {})


def test_ids_are_paths_from_here_however_they_were_written(here: Path) -> None:
    (here / "docs").mkdir()
    (here / "docs" / "a.md").write_text("A")
    assert read("docs/a.md", "./docs", str(here / "docs" / "a.md"), "docs/../docs/a.md") == ({"docs/a.md": "A"}, {})


def test_a_file_elsewhere_keeps_its_whole_path(here: Path) -> None:
    outside = here.parent / "outside.md"
    outside.write_text("O")
    assert read("../outside.md") == ({outside.as_posix(): "O"}, {})


def test_what_cannot_be_taken_is_named_and_the_rest_goes_on(here: Path) -> None:
    (here / "latin.md").write_bytes(b"caf\xe9")
    (here / "empty.md").write_text(" \n")
    (here / "good.md").write_text("good")
    (here / "bom.txt").write_bytes("\ufeffbom".encode())
    (here / "huge.txt").write_bytes(b"x" * (8 * 1024 * 1024 + 1))
    (here / "none").mkdir()
    os.mkfifo(here / "pipe.md")
    found, problems = read("", "missing", "none", "pipe.md", ".")
    assert found == {"good.md": "good", "bom.txt": "bom"}
    assert problems["latin.md"] == "is not UTF-8 text (byte 3)"
    assert problems["empty.md"] == "is empty"
    assert "8 MiB" in problems["huge.txt"]
    assert problems[""] == "the path is empty"
    assert "no such file" in problems["missing"]
    assert "no .md" in problems["none"]
    assert problems["pipe.md"] == "is neither a file nor a folder"


def test_folders_that_link_in_circles_end(here: Path) -> None:
    (here / "docs").mkdir()
    (here / "docs" / "a.md").write_text("A")
    (here / "docs" / "loop").symlink_to(here / "docs")
    assert read("docs") == ({"docs/a.md": "A"}, {})


def test_a_name_that_is_not_utf8_is_said(here: Path) -> None:
    Path(os.fsdecode(b"caf\xe9.md")).write_text("x")
    found, problems = read(".")
    assert found == {}
    assert list(problems.values()) == ["its name is not UTF-8"]


def test_files_that_are_no_texts_are_uploaded_as_they_are(here: Path) -> None:
    for name in ("a.pdf", "sub/B.DOCX", "c.html", "d.png", ".hidden.pdf"):
        file = here / "docs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\xff")
    (here / "docs" / "empty.pdf").touch()
    found = {"docs/a.pdf", "docs/sub/B.DOCX", "docs/c.html"}
    assert {id: path.as_posix() for id, path in uploads("docs").items()} == {id: id for id in found}
    assert read("docs") == ({}, {"docs/empty.pdf": "is empty"})
