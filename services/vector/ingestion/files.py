"""Uploaded files as text, and the structure of Markdown: parsed in a process that can be killed."""

import dataclasses
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.runtime.errors import ParsersUnavailable, StoreUnavailable
from services.vector.parsing.model import Limits, Parsed, ParserUnavailable
from services.vector.parsing.pool import ParserPool
from services.vector.stores import uploads
from services.vector.stores.database.connections import Database
from services.vector.stores.queue import File, Item


@dataclass(frozen=True, slots=True)
class Read:
    """An item with its text, title and format filled in, and where that came from."""

    item: Item
    parsed: Parsed


class Files:
    """Parses what was handed in."""

    def __init__(self, database: Database, pool: ParserPool, limits: Limits) -> None:
        self._database = database
        self._pool = pool
        self._limits = limits

    async def read(self, tenant: str, item: Item, file: File) -> Read:
        """The item as text.

        Raises ParseFailed when the file is at fault; ParsersUnavailable or StoreUnavailable when it is not.
        """
        data = await self._bytes(tenant, file)
        with _translated():
            parsed = await self._pool.parse(data, item.document_id, file.media_type or None, self._limits)
        title = item.title or parsed.title or item.document_id
        return Read(dataclasses.replace(item, title=title, format=parsed.format, text=parsed.text), parsed)

    async def markdown(self, text: str) -> Parsed:
        """The structure of a Markdown text, which stays as it is. Not in this process, because a text made for it takes
        minutes. Raises as `read` does."""
        with _translated():
            return await self._pool.markdown(text, self._limits)

    async def _bytes(self, tenant: str, file: File) -> bytes:
        # Its `getvalue` hands out the very bytes it holds: joining a list would hold the file twice.
        whole = io.BytesIO()
        async with self._database.transaction(tenant) as session:
            async for part in uploads.parts(session, file.upload_id):
                whole.write(part)
        data = whole.getvalue()
        if len(data) != file.size:
            # The job was ended, and its file removed, while this was reading.
            raise StoreUnavailable("The uploaded file could not be read whole.")
        return data


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ParserUnavailable as error:
        raise ParsersUnavailable("No process could be started that parses files.", retry_after=5.0) from error
