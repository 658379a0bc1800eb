"""What may happen to a graph, as plain data drawn from a seed: an error shows it, and it can be done again."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from services.graph.extraction.text import normal_form
from services.graph.model import Evidence, NewEntity, NewRelation, RelationKey


@dataclass(frozen=True)
class Put:
    """Documents come, change and go."""

    texts: Mapping[str, str | None]
    """By document: its text, the first line its title; None: it is deleted."""


@dataclass(frozen=True)
class Tell:
    """UpsertEntities."""

    entities: Sequence[NewEntity]


@dataclass(frozen=True)
class Relate:
    """UpsertRelations."""

    relations: Sequence[NewRelation]


@dataclass(frozen=True)
class Unsay:
    """DeleteEntities."""

    keys: Sequence[str]


@dataclass(frozen=True)
class Unrelate:
    """DeleteRelations."""

    relations: Sequence[RelationKey]


@dataclass(frozen=True)
class Join:
    """MergeEntities."""

    target: str
    sources: Sequence[str]


@dataclass(frozen=True)
class Part:
    """UndoMerge, of one of those that stand."""

    number: int
    """Which one, counted round and round."""


@dataclass(frozen=True)
class Reset:
    """The feed says to begin anew: from now on the graph holds no document."""


@dataclass(frozen=True)
class Return:
    """What a reset took has come again."""


Operation: TypeAlias = Put | Tell | Relate | Unsay | Unrelate | Join | Part | Reset | Return

_NAMES: Final = ("Ada Lovelace", "ADA LOVELACE", "New York", "NEW YORK", "NYC", "Nyc", "Big Apple", "Łódź", "Lodz")
"""Several are writings of one."""
_SAID: Final = (*_NAMES, "Fog")
"""What callers speak of: some of it no document names."""
_KEYS: Final = (*sorted({normal_form(name) for name in _SAID}), "Q42")
_TITLES: Final = ("", "", "New York", "Ada Lovelace", "Łódź, Poland")
_TYPES: Final = ("", "", "city", "person")
_RELATIONS: Final = ("knows", "near")
_DOCUMENTS: Final = tuple(f"d{number}" for number in range(4))
_VALUES: Final = (1, 2, 1.0, "one", True, [1, 2], None, None)


def history(seed: int, length: int, *, resets: bool) -> list[Operation]:
    """So many operations, each of which can be done whatever was done before."""
    dice = random.Random(seed)
    kinds = {_put: 30, _tell: 22, _relate: 14, _unsay: 6, _unrelate: 9, _join: 12, _part: 8}
    if resets:
        kinds |= {_reset: 4, _return: 4}
    return [kind(dice) for kind in dice.choices(list(kinds), list(kinds.values()), k=length)]


def served(whole: Sequence[Operation]) -> list[Operation]:
    """The same history where documents go through the vector service, which calls them by their ids for want of a
    title."""
    return [
        Put({id: _titled(id, text) for id, text in one.texts.items()}) if isinstance(one, Put) else one for one in whole
    ]


def _titled(document: str, text: str | None) -> str | None:
    return document + text if text is not None and text.startswith("\n") else text


def _put(dice: random.Random) -> Operation:
    some = dice.sample(_DOCUMENTS, dice.randint(1, 3))
    return Put({one: None if dice.random() < 0.3 else _text(dice) for one in sorted(some)})


def _text(dice: random.Random) -> str:
    sentences = []
    for _ in range(dice.randint(1, 2)):
        names = dice.sample(_NAMES, dice.randint(1, 3))
        sentences.append(f"They say that {' and '.join(names)} are far apart.")
    return "\n".join((dice.choice(_TITLES), " ".join(sentences)))


def _tell(dice: random.Random) -> Operation:
    keys = dice.sample(_KEYS, dice.randint(1, 3))
    return Tell([_entity(dice, key) for key in keys])


def _entity(dice: random.Random, key: str) -> NewEntity:
    written = [name for name in _SAID if normal_form(name) == key] or ["Douglas Adams"]
    return NewEntity(
        key,
        dice.choice(["", "", *written]),
        dice.choice(_TYPES),
        dice.sample(_SAID, dice.choice([0, 0, 0, 1, 2])),
        {name: dice.choice(_VALUES) for name in "xy" if dice.random() < 0.4},
        _mentions(dice, written),
    )


def _relate(dice: random.Random) -> Operation:
    asked = [(*_ends(dice), dice.choice(_RELATIONS)) for _ in range(dice.randint(1, 3))]
    # Each once, however it is written.
    each = {(normal_form(source), normal_form(target), type_): (source, target) for source, target, type_ in asked}
    return Relate(
        [
            NewRelation(
                source,
                target,
                type_,
                dice.choice([None, None, 1.0, 2.5]),
                {name: dice.choice(_VALUES) for name in "xy" if dice.random() < 0.3},
                _mentions(dice, ["they say so"]),
            )
            for (_, _, type_), (source, target) in each.items()
        ]
    )


def _ends(dice: random.Random) -> tuple[str, str]:
    return dice.choice(_SAID), dice.choice(_SAID)


def _mentions(dice: random.Random, words: Sequence[str]) -> list[Evidence]:
    some = dice.sample(_DOCUMENTS, dice.choice([0, 0, 1, 1, 1, 2]))
    return [Evidence(document, 0, dice.choice(["", *words])) for document in some]


def _unsay(dice: random.Random) -> Operation:
    return Unsay(dice.sample(_KEYS, dice.randint(1, 2)))


def _unrelate(dice: random.Random) -> Operation:
    return Unrelate(
        [
            RelationKey(normal_form(source), normal_form(target), dice.choice(_RELATIONS))
            for source, target in [_ends(dice) for _ in range(dice.randint(3, 8))]
        ]
    )


def _join(dice: random.Random) -> Operation:
    target, *sources = dice.sample(_KEYS, dice.choice([2, 2, 3]))
    return Join(target, sources)


def _part(dice: random.Random) -> Operation:
    return Part(dice.randrange(100))


def _reset(dice: random.Random) -> Operation:
    return Reset()


def _return(dice: random.Random) -> Operation:
    return Return()
