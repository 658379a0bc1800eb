"""Entities as they follow from mentions and statements."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.graph.extraction.text import normal_form
from services.graph.knowledge import fields as of_fields
from services.graph.knowledge.said import form
from services.graph.stores.bolt import Transaction
from services.graph.stores.place import Place
from services.graph.stores.statements.writing import given, kinds
from services.graph.stores.statements.writing.groups import Groups

TOUCHED: Final = (
    "MATCH (e:Entity) WHERE e.uid IN $uids RETURN e.uid AS uid, e.mentions AS mentions, e.form AS form, "
    "e.name AS name, e.named AS named, e.manual AS manual"
)
PUT: Final = "UNWIND $rows AS r MERGE (e:Entity {uid: r.uid}) SET e = r.all"
CREATE: Final = (
    "UNWIND $rows AS r CREATE (:Entity {uid: r.uid, graph: r.all.graph, key: r.all.key, name: r.all.name, "
    "named: false, form: r.all.form, type: '', aliases: [], manual: false, mentions: r.all.mentions})"
)
COUNT: Final = (
    "UNWIND $rows AS r MATCH (e:Entity {uid: r.uid}) SET e.mentions = r.mentions, e.form = r.form, e.name = r.name"
)
REMOVE: Final = "UNWIND $uids AS uid MATCH (e:Entity {uid: uid}) DETACH DELETE e"
FORMS: Final = (
    "UNWIND $uids AS uid MATCH (e:Entity {uid: uid})<-[m:MENTIONS]-(:Passage) RETURN uid, min(m.form) AS form"
)
ALIASES: Final = (
    "MATCH (e:Entity) WHERE e.uid IN $uids MATCH (e)<-[:NAMES]-(a:Alias) "
    "RETURN e.uid AS entity, a.uid AS uid, a.name AS name"
)
PUT_ALIASES: Final = """
UNWIND $rows AS r MATCH (e:Entity {uid: r.entity}) MERGE (a:Alias {uid: r.uid}) SET a = r.all MERGE (a)-[:NAMES]->(e)
"""
REMOVE_ALIASES: Final = "UNWIND $uids AS uid MATCH (a:Alias {uid: uid}) DETACH DELETE a"


CLEAR: Final = (
    "MATCH (e:Entity) WHERE e.uid STARTS WITH $prefix AND e.manual IS NULL WITH e LIMIT $limit DETACH DELETE e "
    "RETURN count(*) AS gone"
)


@dataclass(slots=True)
class View:
    """What is said of an entity by hand."""

    name: str = ""
    type: str = ""
    aliases: Sequence[str] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    manual: bool = False
    """Whether it stays without any mention."""
    called: str = ""
    """What it is called where neither a name was given nor anything mentions it."""


@dataclass(slots=True)
class Standing:
    """An entity as it stands in the store."""

    mentions: int = 0
    form: str = ""
    """Of the mention by which it is named; empty: none."""
    name: str = ""
    named: bool = False
    """Whether its name was given by hand."""
    manual: bool = False


async def touched(transaction: Transaction, uids: Iterable[str]) -> dict[str, Standing]:
    """Those of the entities that there are."""
    asked = sorted(uids)
    rows = await transaction.run(TOUCHED, uids=asked) if asked else []
    return {
        row["uid"]: Standing(row["mentions"], row["form"], row["name"], row["named"], row["manual"]) for row in rows
    }


async def views(
    transaction: Transaction, place: Place, graph: str, groups: Groups, roots: Iterable[str]
) -> dict[str, View]:
    """What statements say of entities, now."""
    asked = sorted(roots)
    members = {root: groups.members(root) for root in asked}
    uids = [place.inside(graph, key) for keys in members.values() for key in keys]
    said: dict[str, list[given.Statement]] = {}
    for one in await given.by_subject(transaction, uids):
        if one.live:
            said.setdefault(one.source, []).append(one)
    return {root: _view(groups, keys, said) for root, keys in members.items()}


def row(place: Place, graph: str, key: str, view: View, standing: Standing) -> dict[str, Any]:
    """All properties of an entity."""
    own = {
        "uid": place.inside(graph, key),
        "graph": graph,
        "key": key,
        "name": view.name or standing.form[1:] or view.called or key,
        "named": bool(view.name),
        "form": standing.form,
        "type": view.type,
        "aliases": list(view.aliases),
        "manual": view.manual,
        "mentions": standing.mentions,
    }
    return {"uid": own["uid"], "all": {**view.properties, **own}}


async def put(transaction: Transaction, rows: Sequence[Mapping[str, Any]], *, bare: bool = False) -> None:
    """Entities with all their properties; see `row`. `bare`: they are new, and nothing is said of them by hand."""
    if rows:
        await transaction.run(CREATE if bare else PUT, rows=sorted(rows, key=lambda row: str(row["uid"])))
    if not bare:
        await kinds.label(transaction, rows)


async def count(transaction: Transaction, standing: Mapping[str, Standing]) -> None:
    """Mentions and names of entities of which nothing else changed."""
    rows = [
        {
            "uid": uid,
            "mentions": one.mentions,
            "form": one.form,
            "name": one.name if one.named or not one.form else one.form[1:],
        }
        for uid, one in sorted(standing.items())
    ]
    if rows:
        await transaction.run(COUNT, rows=rows)


async def forms(transaction: Transaction, uids: Iterable[str]) -> dict[str, str]:
    """By which mention each of some entities is named; without those that nothing mentions."""
    asked = sorted(uids)
    return {row["uid"]: row["form"] for row in await transaction.run(FORMS, uids=asked)} if asked else {}


async def remove(transaction: Transaction, uids: Iterable[str]) -> None:
    asked = sorted(uids)
    if asked:
        await transaction.run(REMOVE, uids=asked)


async def clear(transaction: Transaction, place: Place, graph: str, limit: int) -> bool:
    """Removes up to `limit` entities that an older layout left; True when there was none left."""
    rows = await transaction.run(CLEAR, prefix=place.inside(graph), limit=limit)
    return not rows or not rows[0]["gone"]


async def alias(
    transaction: Transaction, place: Place, graph: str, wanted: Mapping[str, View], gone: Iterable[str]
) -> None:
    """Keeps a node for each other name of these entities, by which it is found; none for those that are gone."""
    uids = {place.inside(graph, key): key for key in (*wanted, *gone)}
    rows = await transaction.run(ALIASES, uids=sorted(uids)) if uids else []
    before = {(row["uid"], row["entity"]): row["name"] for row in rows}
    after = {
        (place.inside(graph, f"{folded}\x1f{key}"), place.inside(graph, key)): (folded, name)
        for key, view in wanted.items()
        for folded, name in _other_names(key, view)
    }
    away = sorted(uid for uid, entity in before.keys() - after.keys())
    if away:
        await transaction.run(REMOVE_ALIASES, uids=away)
    put = [
        {"uid": uid, "entity": entity, "all": {"uid": uid, "graph": graph, "folded": folded, "name": name}}
        for (uid, entity), (folded, name) in sorted(after.items())
        if before.get((uid, entity)) != name
    ]
    if put:
        await transaction.run(PUT_ALIASES, rows=put)


def _other_names(key: str, view: View) -> list[tuple[str, str]]:
    """Other names in their normal form, each once, with one of its writings."""
    found: dict[str, str] = {}
    for name in sorted({view.name, *view.aliases}):
        folded = normal_form(name)
        if folded and folded != key:
            found.setdefault(folded, name)
    return sorted(found.items())


def _view(groups: Groups, keys: Sequence[str], said: Mapping[str, Sequence[given.Statement]]) -> View:
    known = [of_fields.joined(one.holds() for one in said.get(key, ())) for key in keys]
    found = of_fields.preferring(known)
    # What was merged into an entity does not name it; its name finds it.
    name = "" if known[0].name is None else known[0].name.value
    aliases = set(found.aliases)
    for key, fields in zip(keys[1:], known[1:], strict=True):
        aliases.add(fields.name.value if fields.name is not None else groups.parts[key].name)
    aliases.discard(name)
    return View(
        name,
        "" if found.type is None else found.type.value,
        sorted(aliases),
        found.present(),
        any(not one.passage for key in keys for one in said.get(key, ())),
        min((form(one.name) for one in said.get(keys[0], ()) if one.name), default="")[1:],
    )
