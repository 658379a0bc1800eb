"""What callers said by hand that passages mention, for the indexes."""

from collections.abc import Iterable, Sequence
from typing import Final

from services.graph.extraction.mentions import Mention
from services.graph.indexes.snapshots.standing import Given
from services.graph.knowledge.said import form
from services.graph.store import GivenLog

_PAGE: Final = 2000


class GivenMentions:
    """Of one graph, as far as its log was read. A name that was merged counts as the one it is part of."""

    def __init__(self, tenant: str, graph: str, before: Given | None = None) -> None:
        """`before`: what an index had of it in an earlier process, perhaps over another log."""
        self._tenant = tenant
        self._graph = graph
        self._seq = 0
        self._begun = 0
        """Where the log ended when it was last read from its beginning."""
        self._merges: dict[str, str] = {}
        self._names: dict[str, dict[str, str]] = {}
        """By passage and key, as it was written."""
        self._changed: set[str] = set()
        self._before = before is not None
        """Whether what is known is from before, and the log was not read yet."""
        if before is not None:
            self._merges = dict(before.merges)
            self._names = {passage: dict(names) for passage, names in before.names.items()}
            self._changed = set(before.changed)

    def of(self, passage: str) -> list[Mention]:
        """What was said of a passage, each key once."""
        found: dict[str, list[tuple[bool, str, str]]] = {}
        for key, name in self._names.get(passage, {}).items():
            whole = self._merges.get(key, key)
            # What was merged names it only while nothing else does, as in the graph.
            found.setdefault(whole, []).append((key != whole, form(name), name))
        return [Mention(key, min(found[key])[2], 0.0, False, given=True) for key in sorted(found)]

    @property
    def changed(self) -> set[str]:
        """Passages of which something else is said than when `taken` was last called for them."""
        return set(self._changed)

    @property
    def given(self) -> Given:
        """All of it, for another process: a view."""
        return Given(self._names, self._merges, sorted(self._changed))

    def taken(self, passages: Iterable[str]) -> None:
        """Says that what `of` tells of these passages has been made use of."""
        self._changed.difference_update(passages)

    async def poll(self, log: GivenLog) -> None:
        """Reads on.

        Raises StoreUnavailable; what was read before is kept.
        """
        if self._before:
            await self._compare(log)
            return
        changed = self._changed
        while True:
            page = await log.given_since(self._tenant, self._graph, self._seq, _PAGE, self._begun)
            if page.reset or not self._seq:
                self._begun = page.last
            if page.reset:
                changed.update(self._names)
                self._names = {}
            for one in page.items:
                names = self._names.setdefault(one.passage, {})
                if one.gone:
                    names.pop(one.key, None)
                else:
                    names[one.key] = one.name
                if not names:
                    del self._names[one.passage]
                changed.add(one.passage)
            if page.merges is not None and dict(page.merges) != self._merges:
                changed.update(self._with(self._merges.keys() ^ page.merges.keys()))
                changed.update(
                    self._with({key for key, whole in page.merges.items() if self._merges.get(key) != whole})
                )
                self._merges = dict(page.merges)
            self._seq = page.seq
            if not page.more:
                return

    async def _compare(self, log: GivenLog) -> None:
        """Reads the log from its beginning: what it says now against what is known from before."""
        now = GivenMentions(self._tenant, self._graph)
        await now.poll(log)
        for passage in self._names.keys() | now._names.keys():
            if now.of(passage) != self.of(passage):
                self._changed.add(passage)
        self._seq, self._begun, self._merges, self._names = now._seq, now._begun, now._merges, now._names
        self._before = False

    def _with(self, keys: Sequence[str] | set[str]) -> set[str]:
        return {passage for passage, names in self._names.items() if not names.keys().isdisjoint(keys)}
