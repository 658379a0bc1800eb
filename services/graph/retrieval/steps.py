"""How a passage was found, in words and places that a person can check."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.graph.indexes.reading import key, unkey
from services.graph.passages.passage import Span as Part
from services.graph.passages.query.evidence import occurrences
from services.graph.passages.query.retrieve import Hit as Ranked
from services.graph.points import Point
from services.graph.retrieval.model import Hit, Span, Step

_TITLE: Final = 120


def hit(question: str, one: Ranked, points: Mapping[str, Point]) -> Hit | None:
    """The ranked passage with its path; None when it is gone by now. `points` by id in the index."""
    point = points.get(one.id)
    if point is None:
        return None
    path = [Step("question", question, "")]
    last = passage(point, one.sentence)
    if one.bridge is not None:
        anchor = points.get(one.bridge.anchor)
        # The passage before may be gone; then the name alone says what led here.
        both = [point] if anchor is None else [anchor, point]
        if anchor is not None:
            path.append(passage(anchor, one.bridge.anchor_sentence))
        path.append(_name(one.bridge.phrase, both))
    else:
        path += [_name(name, [point]) for name in one.names[:1]]
    return Hit(point, one.score, [*path, last], one.part, one.scores)


def passage(point: Point, sentence: Part | None = None) -> Step:
    """A passage by the title of its document; without one, by how it begins."""
    words = " ".join((point.title or point.text).split())
    text = words if len(words) <= _TITLE else words[: _TITLE - 1] + "…"
    return Step("passage", text, point.id, [] if sentence is None else [_span(point, sentence)])


def wanted(ranked: Sequence[Ranked]) -> dict[str, list[str]]:
    """Ids of all points that the paths of these passages go through, by collection."""
    ids: dict[str, dict[str, None]] = {}
    for one in ranked:
        for id in (one.id, *([one.bridge.anchor] if one.bridge is not None else [])):
            collection, point = unkey(id)
            ids.setdefault(collection, {})[point] = None
    return {collection: list(found) for collection, found in ids.items()}


def by_id(points: Sequence[Point]) -> dict[str, Point]:
    """Points by their ids in an index."""
    return {key(one.collection, one.id): one for one in points}


def _name(phrase: str, points: Sequence[Point]) -> Step:
    """A name as the last of these passages writes it, with its first place in each."""
    spans: list[Span] = []
    written = ""
    for point in points:
        places = occurrences(point.text, phrase)
        if places:
            spans.append(_span(point, places[0]))
            written = point.text[slice(*places[0])]
        else:
            # It names the passage: its title says it.
            named = occurrences(point.title, phrase)
            written = point.title[slice(*named[0])] if named else written
    return Step("name", " ".join(written.split()) or phrase, phrase, spans)


def _span(point: Point, part: Part) -> Span:
    return Span(point.id, point.start + part[0], point.start + part[1])
