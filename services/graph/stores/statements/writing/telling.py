"""Passages together with what callers said of them."""

from collections.abc import Iterable, Mapping, Sequence

from services.graph.knowledge.said import Said, Told
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements.writing import given, passages
from services.graph.stores.statements.writing.given import Statement


async def load(
    transaction: Transaction, place: Place, graph: str, uids: Iterable[str]
) -> tuple[dict[str, Said], dict[str, list[Statement]]]:
    """Those of the passages that there are, with the mentions told of; and all that is said of any of `uids`."""
    asked = sorted(uids)
    standing = await passages.standing(transaction, asked)
    said: dict[str, list[Statement]] = {}
    for one in await given.by_passage(transaction, asked):
        said.setdefault(place.inside(graph, one.passage), []).append(one)
    return told(standing, said), said


def told(standing: Mapping[str, Said], said: Mapping[str, Sequence[Statement]]) -> dict[str, Said]:
    """The passages with those mentions that hold."""
    return {uid: one.telling(tuple(_told(said.get(uid, ())))) for uid, one in standing.items()}


def _told(statements: Sequence[Statement]) -> list[Told]:
    return sorted(Told(one.source, one.name, one.text) for one in statements if one.live and not one.type)
