"""What callers said by hand, read on from a graph's log, is what is read from its beginning."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from services.graph.indexes.given import GivenMentions
from services.graph.model import Given, GivenPage

_PASSAGES = "pq"
_KEYS = ("ada", "countess", "fog")
_NAMES = {"ada": ("Ada", "ADA"), "countess": ("Countess", "the countess"), "fog": ("Fog", "fog")}
_PAGE = 2


@dataclass
class Log:
    """A graph's log, as the stores keep it: the last word of each passage about each key, numbered."""

    last: int = 0
    floor: int = 0
    merged: int = 0
    merges: dict[str, str] = field(default_factory=dict)
    words: dict[tuple[str, str], tuple[int, str, bool]] = field(default_factory=dict)
    """By passage and key: number, name, and whether it was taken back."""

    def say(self, passage: str, key: str, name: str, *, gone: bool) -> None:
        if gone and (passage, key) not in self.words:
            return
        self.last += 1
        self.words[passage, key] = (self.last, name, gone)

    def merge(self, key: str, whole: str) -> None:
        self.last += 1
        self.merged = self.last
        if key == whole:
            self.merges.pop(key, None)
        else:
            self.merges[key] = whole

    def forget(self) -> None:
        """What was taken back is remembered no longer."""
        self.last += 1
        self.floor = self.last
        self.words = {place: word for place, word in self.words.items() if not word[2]}

    async def given_since(self, _tenant: str, _graph: str, seq: int, _limit: int, begun: int = 0) -> GivenPage:
        known = max(seq, begun) if seq else 0
        reset = known > self.last or 0 < known < self.floor
        seq = 0 if reset else seq
        words = sorted((number, place, name, gone) for place, (number, name, gone) in self.words.items())
        behind = [word for word in words if word[0] > seq]
        end = behind[_PAGE - 1][0] if len(behind) > _PAGE else self.last
        items = [Given(*place, name, gone) for number, place, name, gone in behind if number <= end]
        changed = reset or seq == 0 or self.merged > seq
        return GivenPage(end, reset, items, end < self.last, dict(self.merges) if changed else None, self.last)


_CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(_PASSAGES), st.sampled_from(_KEYS), st.integers(0, 1)),
        st.tuples(st.just("unsay"), st.sampled_from(_PASSAGES), st.sampled_from(_KEYS), st.just(0)),
        st.tuples(st.just("merge"), st.sampled_from(_KEYS[1:]), st.sampled_from(_KEYS), st.just(0)),
        st.tuples(st.sampled_from(["forget", "poll"]), st.just(""), st.just(""), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=300)
@given(_CHANGES)
async def test_read_on_is_as_good_as_read_anew(changes: list[tuple[str, str, str, int]]) -> None:
    log, mentions = Log(), GivenMentions("default", "docs")
    made_use_of = {passage: mentions.of(passage) for passage in _PASSAGES}
    for kind, one, other, number in changes:
        if kind == "say":
            log.say(one, other, _NAMES[other][number], gone=False)
        elif kind == "unsay":
            log.say(one, other, other, gone=True)
        elif kind == "merge":
            log.merge(one, other)
        elif kind == "forget":
            log.forget()
        else:
            await mentions.poll(log)
            for passage in mentions.changed:
                made_use_of[passage] = mentions.of(passage)
            mentions.taken(mentions.changed)
    await mentions.poll(log)
    anew = GivenMentions("default", "docs")
    await anew.poll(log)
    for passage in _PASSAGES:
        if passage in mentions.changed:
            made_use_of[passage] = mentions.of(passage)
        assert mentions.of(passage) == anew.of(passage)
        # What changed was told.
        assert made_use_of[passage] == anew.of(passage)
