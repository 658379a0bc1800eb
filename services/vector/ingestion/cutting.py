"""Documents to the points they become, by all that decides how they are cut."""

import hashlib
from dataclasses import dataclass
from typing import Final

import msgspec

from services.providers.embedding.model import EmbeddingModel
from services.vector.model import Chunk, Chunking, Neighbors, Point
from services.vector.parsing.model import Parsed
from services.vector.parsing.sections import plain, sections
from services.vector.stores.points.writing import Write
from services.vector.stores.queue import Item
from services.vector.text import words
from services.vector.text.chunking import Chunker, Passage
from services.vector.text.turns import recognise

_VERSION: Final = 2
"""Goes up when passages are cut or words are made in another way, so that documents are not taken for unchanged."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How a collection's documents are cut."""

    chunking: Chunking
    neighbors: Neighbors


class Cutter:
    """Cuts the documents of one collection."""

    def __init__(self, model: EmbeddingModel, cutting: Cutting, language: str) -> None:
        """`language`: whose stems the words are found by; empty: none."""
        self._model = model
        self._cutting = cutting
        self._chunker = Chunker(model.tokenizer, model.window, cutting.chunking)
        self._language = language

    def cut(self, item: Item, parsed: Parsed | None = None) -> list[Write]:
        """The points of a document, without vectors yet.

        `parsed`: the structure of the text, where a parser made it.
        """
        name = hashlib.blake2b(item.document_id.encode(), digest_size=16).hexdigest()
        writes = []
        for index, passage in enumerate(self._passages(item, parsed)):
            text = item.text[passage.start : passage.end]
            chunk = Chunk(
                document=item.document_id,
                title=item.title,
                text=text,
                index=index,
                heading_path=passage.heading_path,
                start=passage.start,
                end=passage.end,
                page=passage.page,
                before=passage.before,
            )
            found_by = words.of_passage(f"{passage.header}\n{text}", self._language)
            if passage.before:
                found_by = words.beside(found_by, passage.before, self._language)
                text = f"{passage.before}\n{text}"
            point = Point(id=f"{name}-{index}", payload=item.metadata, chunk=chunk)
            writes.append(Write(point=point, text=f"{passage.header}\n{text}", words=found_by))
        return writes

    def digest(self, item: Item) -> bytes:
        """Over everything that decides what the points are."""
        chunking, neighbors = self._cutting.chunking, self._cutting.neighbors
        parts: tuple[object, ...] = (
            _VERSION, self._model.fingerprint, chunking.tokens, chunking.overlap,
            item.title, item.format, item.metadata, item.text,
            item.file and (item.file.media_type, item.file.sha256),
        )  # fmt: skip
        # What came later stands here only where it changes something: there were documents already.
        if chunking.mode != "structure":
            parts = (*parts, chunking.mode)
        if neighbors != "off":
            parts = (*parts, "neighbors", neighbors)
        return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).digest()

    def _passages(self, item: Item, parsed: Parsed | None) -> list[Passage]:
        neighbors = self._cutting.neighbors
        turns = [] if neighbors == "off" else recognise.turns(item.text, parsed)
        if turns:
            found = recognise.sections(item.text, turns, parsed)
            return self._chunker.pack(item.text, found, item.title, apart=True, neighbors=True)
        whole = [plain(item.text)] if parsed is None else sections(parsed)
        return self._chunker.pack(item.text, whole, item.title, neighbors=neighbors == "on")
